"""Two independent judges of Authenticode signatures, signify and LIEF, behind one pipe.

Started with the root that is to be trusted (PEM). Reads one path a line, writes one JSON object a line: for each judge
an empty string where it accepts the file, else its reason.
"""

import json
import re
import sys


def import_signify():
    # oscrypto looks for the version of OpenSSL with single digits only, and finds none in "3.0.19".
    search = re.search

    def tolerant(pattern, *rest):
        if isinstance(pattern, str):
            pattern = pattern.replace(r"\d\.\d\.\d[a-z]*", r"\d\.\d\.\d+[a-z]*")
        return search(pattern, *rest)

    re.search = tolerant
    try:
        import signify.authenticode
        import signify.x509
    finally:
        re.search = search
    return signify


signify = import_signify()
import lief  # noqa: E402

lief.logging.disable()


def stores(root):
    import asn1crypto.pem

    with open(root, "rb") as file:
        blocks = [block for _, _, block in asn1crypto.pem.unarmor(file.read(), multiple=True)]
    certificates = [signify.x509.Certificate.from_der(der) for der in blocks]
    return signify.x509.CertificateStore(certificates, trusted=True)


def by_signify(path, store):
    try:
        with open(path, "rb") as file:
            signed = signify.authenticode.AuthenticodeFile.from_stream(file, path)
            signed.verify(multi_verify_mode="all", trusted_certificate_store=store)
    except Exception as error:  # whatever it is, the file is not accepted
        return f"{type(error).__name__}: {error}" or "refused"
    return ""


def by_lief(path):
    program = lief.PE.parse(path)
    if program is None:
        return "no PE image"
    if not program.has_signatures:
        return "no signature"
    for signature in program.signatures:
        found = program.verify_signature(signature)
        if found != lief.PE.Signature.VERIFICATION_FLAGS.OK:
            return str(found)
    return ""


store = stores(sys.argv[1])
for line in sys.stdin:
    path = line.rstrip("\n")
    print(json.dumps({"signify": by_signify(path, store), "lief": by_lief(path)}), flush=True)
