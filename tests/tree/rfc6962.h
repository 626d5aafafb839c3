/*
 * tests/tree/rfc6962.h - the tree of eight leaves that implementations of RFC 6962 share as vectors.
 *
 * Its nodes are called a, b, c, ...; a path is a string of these letters.
 */
#ifndef TESTS_RFC6962_H
#define TESTS_RFC6962_H

#include <stdint.h>

/* Hexadecimal; the leaves' hashes are a to h. */
static const char *const rfc6962_leaves[] = {
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
};

static const char *const rfc6962_nodes[] = {
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", /* a */
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7", /* b */
    "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7", /* c */
    "07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7", /* d */
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b", /* e */
    "4271a26be0d8a84f0bd54c8c302e7cb3a3b5d1fa6780a40bcce2873477dab658", /* f */
    "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f", /* g */
    "46f6ffadd3d06a09ff3c5860d2755c8b9819db7df44251788c7d8e3180de8eb1", /* h */
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125", /* i */
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77", /* j */
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7", /* k */
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4", /* l */
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef", /* m */
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c", /* n */
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328", /* o */
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e", /* p */
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a", /* q */
    "837dbb152e9b079010717e84e865da4ebc0fa198a806d59d31bf15accef22d0e", /* r */
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4", /* s */
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0", /* t */
};

/* The root of the first 1, 2, ... 8 leaves. */
static const char rfc6962_roots[] = "aijklmno";

struct rfc6962_proof {
    uint64_t first; /* leaf index, or the smaller size */
    uint64_t size;
    const char *path;
};

static const struct rfc6962_proof rfc6962_inclusion[] = {
    { 0, 1, "" },    { 0, 2, "b" },   { 1, 2, "a" },   { 0, 3, "bc" },  { 1, 3, "ac" },
    { 2, 3, "i" },   { 0, 4, "bp" },  { 1, 4, "ap" },  { 2, 4, "di" },  { 3, 4, "ci" },
    { 0, 5, "bpe" }, { 1, 5, "ape" }, { 2, 5, "die" }, { 3, 5, "cie" }, { 4, 5, "k" },
    { 0, 6, "bpq" }, { 1, 6, "apq" }, { 2, 6, "diq" }, { 3, 6, "ciq" }, { 4, 6, "fk" },
    { 5, 6, "ek" },  { 0, 7, "bpr" }, { 1, 7, "apr" }, { 2, 7, "dir" }, { 3, 7, "cir" },
    { 4, 7, "fgk" }, { 5, 7, "egk" }, { 6, 7, "qk" },  { 0, 8, "bps" }, { 1, 8, "aps" },
    { 2, 8, "dis" }, { 3, 8, "cis" }, { 4, 8, "ftk" }, { 5, 8, "etk" }, { 6, 8, "hqk" },
    { 7, 8, "gqk" },
};

static const struct rfc6962_proof rfc6962_consistency[] = {
    { 1, 1, "" },     { 1, 2, "b" },   { 2, 2, "" },     { 1, 3, "bc" },   { 2, 3, "c" },
    { 3, 3, "" },     { 1, 4, "bp" },  { 2, 4, "p" },    { 3, 4, "cdi" },  { 4, 4, "" },
    { 1, 5, "bpe" },  { 2, 5, "pe" },  { 3, 5, "cdie" }, { 4, 5, "e" },    { 5, 5, "" },
    { 1, 6, "bpq" },  { 2, 6, "pq" },  { 3, 6, "cdiq" }, { 4, 6, "q" },    { 5, 6, "efk" },
    { 6, 6, "" },     { 1, 7, "bpr" }, { 2, 7, "pr" },   { 3, 7, "cdir" }, { 4, 7, "r" },
    { 5, 7, "efgk" }, { 6, 7, "qgk" }, { 7, 7, "" },     { 1, 8, "bps" },  { 2, 8, "ps" },
    { 3, 8, "cdis" }, { 4, 8, "s" },   { 5, 8, "eftk" }, { 6, 8, "qtk" },  { 7, 8, "ghqk" },
    { 8, 8, "" },
};

#endif /* TESTS_RFC6962_H */
