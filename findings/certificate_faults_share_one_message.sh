#!/usr/bin/env bash
# librdkafka 2.12.1 (confluent-kafka 2.12.1): whatever is wrong with a broker's certificate, the error names ssl.ca.location.
#
# One would guess that an expired certificate and one for another host name each say so: OpenSSL knows (it calls them
# "certificate has expired" and "hostname mismatch"). librdkafka replaces the reason by advice about authorities, which
# sends people to the one setting that is right. Here the authority is the right one in both cases.
#
# Seen on 2026-12-01, for both, but for port and time:
#   SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not be verified,
#   verify that ssl.ca.location is correctly configured or root CA certificates are installed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv tools
tools/bin/pip install -q --disable-pip-version-check confluent-kafka==2.12.1
cat >check.py <<'PYTHON'
import re, socket, ssl, subprocess, sys, threading, time
from confluent_kafka import libversion
from confluent_kafka.admin import AdminClient


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def certificate(name, host, days):
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={host}")
    with open(f"{name}.ext", "w") as extensions:
        extensions.write(f"subjectAltName=DNS:{host}\n")
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", f"{name}.pem", "-extfile", f"{name}.ext", "-days", days)


def message(name):
    """What a client says that trusts the authority of this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{name}.pem", f"{name}.key")
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(20)

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            try:
                context.wrap_socket(connection, server_side=True)
            except OSError:
                pass

    threading.Thread(target=serve, daemon=True).start()
    seen = []
    client = AdminClient({
        "bootstrap.servers": f"localhost:{server.getsockname()[1]}", "broker.address.family": "v4",
        "security.protocol": "ssl", "ssl.ca.location": "ca.pem", "log_level": 0,
        "error_cb": lambda error: seen.append(error.str()),
    })
    end = time.monotonic() + 15
    while not any("handshake" in text for text in seen) and time.monotonic() < end:
        client.poll(0.1)
    server.close()
    text = next(text for text in seen if "handshake" in text)
    return re.sub(r"localhost:\d+|after \d+ms", "…", text)


openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "30",
        "-subj", "/CN=an authority")
certificate("expired", "localhost", "-1")
certificate("another-host", "kafka.example", "30")
expired, another_host = message("expired"), message("another-host")
print("librdkafka", libversion()[0])
print("expired:     ", expired)
print("another host:", another_host)
same = expired == another_host and "ssl.ca.location" in expired
told = any(word in expired + another_host for word in ("expired", "hostname mismatch"))
sys.exit(0 if same and not told else "changed: the two are told apart now")
PYTHON
tools/bin/python check.py
