"""An independent verifier of a tiled log: RFC 6962, C2SP signed-note, tlog-checkpoint and tlog-tiles, from their texts alone.

Needs nothing but Python's standard library; Ed25519 is RFC 8032's own arithmetic.
Usage: verify_tiles.py FOLDER VERIFIER_KEY
       verify_tiles.py https://HOST:PORT VERIFIER_KEY AUTHORITY [CERTIFICATE PRIVATE_KEY]
Over HTTPS without a certificate the hash tiles are verified, which are open to anybody; with one the entries, too.
Further arguments `witness=VERIFIER_KEY`: these witnesses must have cosigned the checkpoint (C2SP tlog-cosignature).
"""

import base64
import hashlib
import os
import ssl
import sys
import urllib.error
import urllib.request

# ---- Ed25519 (RFC 8032, 5.1) ----
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def recover_x(y, sign):
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if square == 0:
        return None if sign else 0
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P != 0:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P != 0:
        return None
    return P - x if (x & 1) != sign else x


def add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    w, x, y, z = f - e, d - c, d + c, f + e
    return (w * x % P, y * z % P, x * y % P, w * z % P)


def multiply(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def decompress(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


def ed25519_verifies(public_key, message, signature):
    key, r = decompress(public_key), decompress(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or key is None or r is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % L
    y = recover_x(4 * pow(5, P - 2, P) % P, 0)
    base = 4 * pow(5, P - 2, P) % P
    generator = (y, base, 1, y * base % P)
    left, right = multiply(s, generator), add(r, multiply(h, key))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


# ---- the tree (RFC 6962, 2.1) ----
def leaf_hash(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def tree_hash(hashes):
    if not hashes:
        return hashlib.sha256().digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return hashlib.sha256(b"\1" + tree_hash(hashes[:split]) + tree_hash(hashes[split:])).digest()


# ---- the files ----
def number_path(number):
    parts = [f"{number % 1000:03}"]
    while number >= 1000:
        number //= 1000
        parts.insert(0, f"x{number % 1000:03}")
    return "/".join(parts)


def tile_paths(level, count):
    """Path and width of each tile of a level with this many hashes."""
    for index in range((count + 255) // 256):
        width = min(256, count - index * 256)
        yield f"tile/{level}/{number_path(index)}" + (f".p/{width}" if width < 256 else ""), width


def reader(location, authority=None, certificate=None, private_key=None):
    """What reads a file of the log by its path."""
    if not location.startswith("https://"):
        return lambda path: open(os.path.join(location, path), "rb").read()
    context = ssl.create_default_context(cafile=authority)
    if certificate:
        context.load_cert_chain(certificate, private_key)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))

    # Who reads entries is a person.
    officer = {"lienthong-officer-id": "1", "lienthong-officer-name": "Thanh tra".encode().decode("latin-1")}

    def fetch(path):
        request = urllib.request.Request(f"{location}/{path}", headers=officer if certificate else {})
        with opener.open(request, timeout=10) as response:
            headers, body = response.headers, response.read()
        wanted = "text/plain; charset=utf-8" if path == "checkpoint" else "application/octet-stream"
        assert headers["Content-Type"] == wanted, f"{path}: {headers['Content-Type']}"
        immutable = path.startswith("tile/") and not path.startswith("tile/entries/")
        assert ("immutable" in headers["Cache-Control"]) == immutable, f"{path}: {headers['Cache-Control']}"
        return body

    def read(path):
        try:
            return fetch(path)
        except urllib.error.HTTPError as error:
            # The log has grown meanwhile: a partial tile gave way to the full one, which begins with it.
            if error.code != 404 or ".p/" not in path:
                raise
            return fetch(path.split(".p/")[0])

    return read


def verifier_key(text, signature_type):
    """Name, key id and public key."""
    name, key_id, key = text.split("+", 2)
    key = base64.b64decode(key, validate=True)
    assert key[0] == signature_type and len(key) == 33, "an Ed25519 key of this type"
    assert hashlib.sha256(name.encode() + b"\n" + key).digest()[:4].hex() == key_id, "key id"
    return name, key_id, key[1:]


def verify_cosignature(text, signatures, witness):
    name, key_id, key = verifier_key(witness, 4)
    for line in signatures.splitlines():
        _, signer, signature = line.split(" ")
        signature = base64.b64decode(signature, validate=True)
        if signer == name and signature[:4].hex() == key_id:
            time, signature = int.from_bytes(signature[4:12], "big"), signature[12:]
            message = f"cosignature/v1\ntime {time}\n".encode() + text.encode()
            assert ed25519_verifies(key, message, signature), f"cosignature of {name}"
            return
    raise AssertionError(f"{name} has not cosigned")


def main():
    witnesses = [argument.removeprefix("witness=") for argument in sys.argv if argument.startswith("witness=")]
    location, key_text, *tls = [argument for argument in sys.argv[1:] if not argument.startswith("witness=")]
    read = reader(location, *tls)
    with_entries = len(tls) != 1

    name, key_id, key = verifier_key(key_text, 1)

    note = read("checkpoint").decode()
    text, signatures = note.rsplit("\n\n", 1)
    text += "\n"
    valid = False
    for line in signatures.splitlines():
        dash, signer, signature = line.split(" ")
        signature = base64.b64decode(signature, validate=True)
        if dash == "—" and signer == name and signature[:4].hex() == key_id:
            assert ed25519_verifies(key, text.encode(), signature[4:]), "signature"
            assert not ed25519_verifies(key, text.encode() + b"x", signature[4:]), "a signature of anything"
            valid = True
    assert valid, "no signature of the key"
    for witness in witnesses:
        verify_cosignature(text, signatures, witness)
    origin, size, root = text.splitlines()[:3]
    size = int(size)
    assert origin == name, "origin"

    hashes = []
    for path, width in tile_paths(0, size):
        tile = read(path)[: 32 * width]
        hashes += [tile[at : at + 32] for at in range(0, len(tile), 32)]
    leaves = []
    for path, width in tile_paths("entries", size) if with_entries else ():
        bundle, at = read(path), 0
        for _ in range(width):
            length = int.from_bytes(bundle[at : at + 2], "big")
            entry = bundle[at + 2 : at + 2 + length]
            assert len(entry) == length, f"{path} is cut short"
            leaves.append(leaf_hash(entry))
            at += 2 + length
        assert at == len(bundle) or location.startswith("https://"), f"{path} is too long"
    assert not with_entries or leaves == hashes, "entries and level 0 tiles"
    assert tree_hash(hashes) == base64.b64decode(root, validate=True), "root"

    tiles, level, row = 0, 0, hashes
    while row:
        for number, (path, width) in enumerate(tile_paths(level, len(row))):
            tile = read(path)
            assert tile[: 32 * width] == b"".join(row[number * 256 : number * 256 + width]), f"{path} is another"
            assert len(tile) == 32 * width or location.startswith("https://"), f"{path} is too long"
            tiles += 1
        row = [tree_hash(row[at : at + 256]) for at in range(0, len(row) // 256 * 256, 256)]
        level += 1
    print(f"{size} entries{'' if with_entries else ' (by their hashes)'}, {tiles} tiles, root and signature verified independently")


main()
