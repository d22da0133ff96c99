#!/usr/bin/env python3
"""Checks a seal from docs/formats/seal.md alone; shares no code with Custody.

seal_check.py SEAL PUBLIC_KEY_PEM ARTEFACT: prints one line a difference; exit code 0 when there is none.
"""
import base64, hashlib, json, os, stat, struct, sys, tarfile, zipfile

# --- SM3, GB/T 32905-2016; OpenSSL's where Python has it, since this one is slow ---
IV = (0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600, 0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e)

def rol(x, n):
    n %= 32
    return ((x << n) | (x >> (32 - n))) & 0xffffffff

def sm3_block(v, block):
    w = list(struct.unpack(">16I", block))
    for j in range(16, 68):
        x = w[j - 16] ^ w[j - 9] ^ rol(w[j - 3], 15)
        w.append(x ^ rol(x, 15) ^ rol(x, 23) ^ rol(w[j - 13], 7) ^ w[j - 6])
    a, b, c, d, e, f, g, h = v
    for j in range(64):
        t = 0x79cc4519 if j < 16 else 0x7a879d8a
        ss1 = rol((rol(a, 12) + e + rol(t, j)) & 0xffffffff, 7)
        ff = a ^ b ^ c if j < 16 else (a & b) | (a & c) | (b & c)
        gg = e ^ f ^ g if j < 16 else (e & f) | (~e & g & 0xffffffff)
        tt1 = (ff + d + (ss1 ^ rol(a, 12)) + (w[j] ^ w[j + 4])) & 0xffffffff
        tt2 = (gg + h + ss1 + w[j]) & 0xffffffff
        a, b, c, d = tt1, a, rol(b, 9), c
        e, f, g, h = tt2 ^ rol(tt2, 9) ^ rol(tt2, 17), e, rol(f, 19), g
    return tuple(x ^ y for x, y in zip(v, (a, b, c, d, e, f, g, h)))

def sm3_own(data):
    data += b"\x80" + b"\0" * ((55 - len(data)) % 64) + struct.pack(">Q", 8 * len(data))
    v = IV
    for at in range(0, len(data), 64):
        v = sm3_block(v, data[at:at + 64])
    return struct.pack(">8I", *v)

def sha256(data):
    return hashlib.sha256(data).digest()

def sm3(data):
    if len(data) < 4096:
        return sm3_own(data)
    try:
        return hashlib.new("sm3", data).digest()
    except ValueError:
        return sm3_own(data)

# --- Ed25519 verification, RFC 8032 section 5.1.7 ---
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P

def decode_point(raw):
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - x2) % P or (x == 0 and sign):
        raise ValueError("not a point")
    return (P - x if x % 2 != sign else x), y

def add(p, q):
    (x1, y1), (x2, y2) = p, q
    k = D * x1 * x2 * y1 * y2 % P
    return ((x1 * y2 + x2 * y1) * pow(1 + k, P - 2, P) % P, (y1 * y2 + x1 * x2) * pow(1 - k, P - 2, P) % P)

def times(n, p):
    out = (0, 1)
    while n:
        if n & 1:
            out = add(out, p)
        p, n = add(p, p), n >> 1
    return out

BASE = decode_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))

def ed25519_holds(key, message, signature):
    r, s = decode_point(signature[:32]), int.from_bytes(signature[32:], "little")
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    return s < L and times(s, BASE) == add(r, times(k, decode_point(key)))

# --- The envelope and the statement ---
def open_seal(path, pem):
    envelope = json.load(open(path))
    der = base64.b64decode("".join(pem.split("-----")[2].split()))
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"]
    assert kind == "application/vnd.in-toto+json", kind
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    mine = [s for s in envelope["signatures"] if s["keyid"] == hashlib.sha256(der).hexdigest()]
    assert mine, "the key has not signed"
    assert all(ed25519_holds(der[-32:], signed, base64.b64decode(s["sig"])) for s in mine), "a signature fails"
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "urn:uuid:5e2d9a34-0c1f-4f7b-9a56-3b7a1f0c8d21#custody-seal-v1"
    return statement

# --- The tree ---
TYPES = {"file": 1, "symlink": 2, "directory": 3}

def leaf_input(e):
    path = e["path"].encode()
    return (struct.pack(">I", len(path)) + path + struct.pack(">BIQ", TYPES[e["type"]], int(e["mode"], 8), e["size"])
            + bytes.fromhex(e["digest"]["sha256"]) + bytes.fromhex(e["digest"]["sm3"]))

def root(h, leaves):
    if len(leaves) < 2:
        return leaves[0] if leaves else h(b"")
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return h(b"\1" + root(h, leaves[:k]) + root(h, leaves[k:]))

def roots(entries):
    return {n: root(h, [h(b"\0" + leaf_input(e)) for e in entries]).hex()
            for n, h in (("sha256", sha256), ("sm3", sm3))}

# --- What stands there ---
def entry(path, kind, mode, data):
    digest = {"sha256": sha256(data).hex(), "sm3": sm3(data).hex()}
    out = {"path": path, "type": kind, "mode": "%04o" % mode, "size": len(data), "digest": digest}
    return {**out, "target": data.decode()} if kind == "symlink" else out

def of_directory(top):
    for folder, directories, files in os.walk(top):
        for name in directories + files:
            full = os.path.join(folder, name)
            path, info = os.path.relpath(full, top), os.lstat(full)
            if stat.S_ISLNK(info.st_mode):
                yield entry(path, "symlink", 0o777, os.readlink(full).encode())
            elif stat.S_ISDIR(info.st_mode):
                yield entry(path, "directory", info.st_mode & 0o7777, b"")
            else:
                yield entry(path, "file", info.st_mode & 0o7777, open(full, "rb").read())

def of_zip(path):
    archive = zipfile.ZipFile(path)
    for info in archive.infolist():
        mode = info.external_attr >> 16 if info.create_system in (3, 19) else 0
        kind = "directory" if info.is_dir() else "symlink" if stat.S_ISLNK(mode) else "file"
        default = 0o755 if kind == "directory" else 0o644
        mode = 0o777 if kind == "symlink" else mode & 0o7777 if mode else default
        yield entry(info.filename.rstrip("/"), kind, mode, archive.read(info))

def of_tar(path):
    archive = tarfile.open(path)
    for info in archive:
        name = info.name[2:] if info.name.startswith("./") else info.name
        if name == ".":
            continue
        if info.issym():
            yield entry(name, "symlink", 0o777, info.linkname.encode())
        elif info.isdir():
            yield entry(name, "directory", info.mode & 0o7777, b"")
        else:
            yield entry(name, "file", info.mode & 0o7777, archive.extractfile(info).read())

def observed(path, container):
    if os.path.isdir(path):
        return of_directory(path)
    if container is None:
        return [entry(os.path.basename(path), "file", os.stat(path).st_mode & 0o7777, open(path, "rb").read())]
    return of_zip(path) if container["format"] == "zip" else of_tar(path)

def differences(statement, path):
    predicate, subject = statement["predicate"], statement["subject"][0]["digest"]
    sealed, container = predicate["entries"], predicate.get("container")
    found = sorted(observed(path, container), key=lambda e: e["path"].encode())
    if roots(sealed) != {n: predicate["tree"][n] for n in ("sha256", "sm3")}:
        yield "the roots are not those of the entries"
    if any(subject["custody-tree-v1-" + n] != predicate["tree"][n] for n in ("sha256", "sm3")):
        yield "the subject has other roots"
    before, after = ({e["path"]: e for e in entries} for entries in (sealed, found))
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield "entry " + name
    if "sha256" in subject:
        data = open(path, "rb").read()
        if (sha256(data).hex(), sm3(data).hex()) != (subject["sha256"], subject["sm3"]):
            yield "the artefact's bytes"
        if container:
            size = container["blockSize"]
            blocks = [sha256(data[at:at + size]).hex() for at in range(0, len(data), size)]
            if blocks != container["blocks"] or len(data) != container["size"]:
                yield "the container's blocks"

if __name__ == "__main__":
    found = list(differences(open_seal(sys.argv[1], open(sys.argv[2]).read()), sys.argv[3]))
    print("\n".join(found))
    sys.exit(1 if found else 0)
