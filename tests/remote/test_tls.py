"""A remote ledger behind TLS: its server is believed by its certificate, or not at all."""
import re
import subprocess

from servers import TALLY, RemoteCase, main


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Tls(RemoteCase):
    def setUp(self):
        super().setUp()
        self.make_ca("ca")
        self.make_ca("other")

    def make_ca(self, name):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", self.dir / f"{name}.key", "-out", self.dir / f"{name}.pem", "-days", 30,
                "-subj", "/CN=A CA for tests")  # both of one name: it is the key that counts

    def make_certificate(self, names="IP:127.0.0.1,DNS:localhost", days=30):
        request, certificate = self.dir / "s.csr", self.dir / "s.pem"
        key = self.dir / "s.key"
        key.unlink(missing_ok=True)
        extensions = self.write("s.ext", f"subjectAltName={names}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                key, "-out", request, "-subj", "/CN=server")
        openssl("x509", "-req", "-in", request, "-CA", self.dir / "ca.pem", "-CAkey",
                self.dir / "ca.key", "-CAcreateserial", "-days", days, "-extfile", extensions, "-out",
                certificate)
        return certificate, key

    def serve(self, **certificate):
        """A second server of the same ledger, with TLS; returns its port."""
        cert, key = self.make_certificate(**certificate)
        process = subprocess.Popen(
            [TALLY, "serve", "-C", str(self.ledger), "--listen", "127.0.0.1:0", "--tls-cert",
             str(cert), "--tls-key", str(key)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=self.environment())
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        for line in process.stdout:
            found = re.search(rb"https://127\.0\.0\.1:(\d+)\s", line)
            if found:
                return int(found[1])
        raise AssertionError("the server ended")

    def run_at(self, url, *arguments, ca="ca", want=0):
        env = {"TALLY_REMOTE_SPOOL": str(self.spool), "TALLY_REMOTE_TOKEN_FILE": str(self.token)}
        if ca is not None:
            env["TALLY_REMOTE_CA_FILE"] = str(self.dir / f"{ca}.pem")
        return self.tally("-C", url, *arguments, ledger=False, env=env, want=want)

    def log_at(self, url, name, **options):
        return self.run_at(url, "log", "--action", "remote.test", "--actor-id", "u1", "--id", name,
                           "--timeout-ms", "2000", **options)

    def check_refused(self, url, why, **options):
        """Nothing is read from it, and nothing is handed to it: what is logged waits."""
        said = self.run_at(url, "count", want=None, **options)
        self.assertEqual(said.status, 5, said.err)
        self.assertRegex(said.err, why)
        self.assertEqual(said.out, "")
        before = self.recorded()
        self.log_at(url, "waits", want=None, **options)
        self.assertEqual(self.recorded(), before)
        self.assertNotEqual(list((self.spool / "spool").glob("*.seg")), [])

    def test_one_whose_certificate_is_believed(self):
        port = self.serve()
        for n, host in enumerate(["127.0.0.1", "localhost"]):
            url = f"https://{host}:{port}"
            self.log_at(url, f"e{n}")
            self.assertEqual(self.run_at(url, "count", "--action", "remote.test").out, f"{n + 1}\n")
        self.assertEqual(self.recorded(), ["e0", "e1"])

    def test_one_that_nobody_vouches_for(self):
        url = f"https://127.0.0.1:{self.serve()}"
        self.check_refused(url, "certificate", ca=None)
        self.check_refused(url, "certificate", ca="other")
        self.log_at(url, "e")  # once it is believed, what waited comes first
        self.assertEqual(self.recorded(), ["waits", "e"])

    def test_one_whose_certificate_has_expired(self):
        self.check_refused(f"https://127.0.0.1:{self.serve(days=-1)}", "certificate")

    def test_one_of_another_name(self):
        port = self.serve(names="DNS:elsewhere.example,IP:127.0.0.2")
        self.check_refused(f"https://127.0.0.1:{port}", "certificate")
        self.check_refused(f"https://localhost:{port}", "certificate")

    def test_http_and_https_are_not_mistaken(self):
        self.check_refused(f"http://127.0.0.1:{self.serve()}", "no answer")
        self.check_refused(f"https://127.0.0.1:{self.server.port}", "no answer")

    def test_a_file_of_certificates_that_is_none(self):
        url = f"https://127.0.0.1:{self.serve()}"
        self.write("none.pem", "this is no certificate\n")
        self.check_refused(url, "CA cert", ca="none")
        self.check_refused(url, "CA cert", ca="missing")


if __name__ == "__main__":
    main()
