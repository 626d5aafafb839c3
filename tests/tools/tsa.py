"""A time stamping authority for tests: `openssl ts` behind a function that can also misbehave."""
import pathlib
import subprocess

CONFIG = """
[ tsa ]
default_tsa = here
[ here ]
serial = {dir}/serial
signer_cert = {dir}/tsa.pem
signer_key = {dir}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = {digests}
accuracy = secs:1
ess_cert_id_alg = sha256
[ req ]
distinguished_name = name
prompt = no
[ name ]
CN = Test authority
[ ca ]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[ stamp ]
extendedKeyUsage = critical,timeStamping
[ other ]
extendedKeyUsage = serverAuth
"""


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True).stdout


class Authority:
    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.mode = "honest"
        self.first = None  # the first answer that was given
        self.config("tsa.cnf", "sha256")
        self.config("refuse.cnf", "sha512")
        (self.dir / "serial").write_text("01\n")
        self.key("ca")
        openssl("req", "-x509", "-new", "-key", self.dir / "ca.key", "-days", 30, "-config",
                self.dir / "tsa.cnf", "-extensions", "ca", "-out", self.ca_file)
        self.key("tsa")
        openssl("req", "-new", "-key", self.dir / "tsa.key", "-config", self.dir / "tsa.cnf", "-subj",
                "/CN=Test stamps", "-out", self.dir / "tsa.csr")
        openssl("x509", "-req", "-in", self.dir / "tsa.csr", "-CA", self.ca_file, "-CAkey",
                self.dir / "ca.key", "-days", 30, "-set_serial", 7, "-extfile", self.dir / "tsa.cnf",
                "-extensions", "stamp", "-out", self.dir / "tsa.pem")

    @property
    def ca_file(self):
        return self.dir / "ca.pem"

    def config(self, name, digests):
        (self.dir / name).write_text(CONFIG.format(dir=self.dir, digests=digests))

    def key(self, name):
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out",
                self.dir / f"{name}.key")

    def stamp(self, query, config="tsa.cnf"):
        (self.dir / "query").write_bytes(query)
        openssl("ts", "-reply", "-config", self.dir / config, "-queryfile", self.dir / "query",
                "-out", self.dir / "reply")
        return (self.dir / "reply").read_bytes()

    def answer(self, _path, _headers, query):
        kind = "application/timestamp-reply"
        digest = query.index(b"\x04\x20") + 2
        nonce = digest + 32 + 2
        if self.mode == "wrong-imprint":
            query = query[:digest] + bytes(32) + query[digest + 32:]
        if self.mode == "wrong-nonce":
            query = query[:nonce + 3] + bytes([query[nonce + 3] ^ 1]) + query[nonce + 4:]
        if self.mode == "refused":
            return 200, kind, self.stamp(query, "refuse.cnf")
        if self.mode == "garbage":
            return 200, kind, b"\x30\x82\xff\xff what?"
        if self.mode == "error":
            return 503, "text/plain", b"not now"
        reply = self.stamp(query)
        self.first = self.first or reply
        if self.mode == "replayed":
            return 200, kind, self.first
        if self.mode == "forged":
            return 200, kind, reply[:-4] + bytes([reply[-4] ^ 1]) + reply[-3:]
        if self.mode == "longer":
            return 200, kind, reply + b"\x00"
        if self.mode == "cut":
            return 200, kind, reply[:-1]
        return 200, kind, reply
