#!/bin/sh
# How the seeds of the Authenticode family were made: certificates, lists, responses, timestamps and containers by openssl 3,
# programs of one kilobyte by python, their signatures by `custody` (named in CUSTODY). Run from the root of the checkout.
# The keys are made anew each time and thrown away, but for those in the PKCS #12 files, which protect nothing.
set -eu
CUSTODY=${CUSTODY:-custody}
corpus=$PWD/fuzz/corpus
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > conf <<E
[code]
basicConstraints=CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=codeSigning,1.3.6.1.4.1.311.10.3.13
subjectAltName=DNS:a.example,email:b@example,IP:192.0.2.1,URI:http://c.example,dirName:rdn
certificatePolicies=1.2.3.4
crlDistributionPoints=URI:http://crl.example
authorityInfoAccess=OCSP;URI:http://ocsp.example
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid,issuer
[ca]
basicConstraints=critical,CA:TRUE,pathlen:0
keyUsage=critical,keyCertSign,cRLSign
[constrained]
basicConstraints=critical,CA:TRUE
nameConstraints=critical,permitted;DNS:example
policyConstraints=requireExplicitPolicy:1
[tsa]
keyUsage=critical,digitalSignature
extendedKeyUsage=critical,timeStamping
[ocsp]
extendedKeyUsage=OCSPSigning
[list]
database=db
new_certs_dir=.
certificate=root.pem
private_key=root.key
default_md=sha256
default_crl_days=3650
crlnumber=crlnumber
policy=rdn
[ts]
serial=tsserial
signer_digest=sha256
default_policy=1.2.3
digests=sha256
accuracy=secs:1
ess_cert_id_alg=sha256
[req]
distinguished_name=rdn
[rdn]
commonName=x
E
key() { openssl ecparam -name "${2:-prime256v1}" -genkey -noout -out "$1.key"; }
self() { openssl req -x509 -new -key "$1.key" -subj "/CN=$1" -days 3650 "-${2:-sha256}" -out "$1.pem" \
    -addext keyUsage=critical,keyCertSign,cRLSign; }
# leaf NAME ISSUER SECTION [SUBJECT]
leaf() {
    key "$1"
    openssl req -new -key "$1.key" -subj "${4:-/CN=$1}" -utf8 -out "$1.csr" -config conf
    openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days 3600 -sha256 -extfile conf \
        -extensions "$3" -out "$1.pem" 2>/dev/null
}
der() { openssl x509 -in "$1.pem" -outform DER; }
seed() { mkdir -p "$corpus/$1"; cat > "$corpus/$1/$2"; }

key root; self root
leaf middle root ca
leaf code middle code "/CN=code/O=Ä中/C=DE"
leaf tsa root tsa
leaf ocsp root ocsp
leaf narrow root constrained
key sm2 SM2; self sm2 sm3
openssl genrsa -out rsa.key 1024 2>/dev/null; self rsa sha384
for name in code narrow sm2 rsa; do der $name | seed pkix_certificate $name; done

: > db; echo 01 > crlnumber; echo 01 > tsserial
openssl ca -config conf -name list -revoke tsa.pem -crl_reason keyCompromise 2>/dev/null
openssl ca -config conf -name list -revoke middle.pem 2>/dev/null
openssl ca -config conf -name list -gencrl -out list.pem 2>/dev/null
openssl crl -in list.pem -outform DER -out list.der
openssl ocsp -issuer root.pem -cert tsa.pem -cert narrow.pem -reqout ask 2>/dev/null
openssl ocsp -index db -CA root.pem -rsigner ocsp.pem -rkey ocsp.key -reqin ask -respout answer.der -ndays 3650 >/dev/null 2>&1
seed pkix_revocation entries < list.der
seed pkix_revocation pem < list.pem
seed pkix_revocation response < answer.der
{ der code; der middle; cat list.der answer.der; der root; } | seed pkix_path middle

echo message > message
openssl ts -query -data message -sha256 -cert -out query 2>/dev/null
openssl ts -reply -config conf -section ts -queryfile query -signer tsa.pem -inkey tsa.key -out reply 2>/dev/null
openssl ts -reply -config conf -section ts -queryfile query -signer tsa.pem -inkey tsa.key -token_out -out token 2>/dev/null
seed pkix_timestamp reply < reply
seed pkix_timestamp token < token
cms() { openssl cms -sign -binary -in message -outform DER -signer code.pem -inkey code.key "$@"; }
cms -nodetach | seed pkix_signed_data one
cms -nodetach -signer tsa.pem -inkey tsa.key | seed pkix_signed_data two
cms -keyid -noattr -nocerts | seed pkix_signed_data detached
cms -nodetach -econtent_type 1.3.6.1.4.1.311.79.1 | seed authenticode_document policy
p12() { openssl pkcs12 -export -inkey code.key -in code.pem -passout pass: -iter 1 "$@"; }
p12 -certfile root.pem | seed keystore_pkcs12 aes
p12 -legacy | seed keystore_pkcs12 legacy
openssl pkcs8 -topk8 -in code.key -passout pass: -iter 1 -outform DER | seed keystore_pkcs12 pkcs8

# PE32+ with one section of a page: `.text` at 0x200 in the file, 0x1000 in memory.
python3 - <<'E'
import struct
b = bytearray(0x400)
def put(at, form, *values): struct.pack_into('<' + form, b, at, *values)
b[0:2] = b'MZ'; put(0x3c, 'I', 0x40); b[0x40:0x44] = b'PE\0\0'
put(0x44, 'HHIIIHH', 0x8664, 1, 0, 0, 0, 240, 0x22)
put(0x58, 'H', 0x20b); put(0x58 + 32, 'II', 0x1000, 0x200); put(0x58 + 56, 'II', 0x2000, 0x200)
put(0x58 + 68, 'HH', 3, 0x8160); put(0x58 + 108, 'I', 16)
put(0x148, '8sIIII', b'.text', 0x200, 0x1000, 0x200, 0x200); put(0x148 + 36, 'I', 0x60000020)
open('small.exe', 'wb').write(b)
E
sign() { "$CUSTODY" --quiet --home absent pe sign "$@" --key code.key --cert code.pem >/dev/null; }
sign small.exe --page-hashes --name n --url https://u.example -o pages.exe
cp small.exe nested.exe; sign nested.exe; sign nested.exe --append
seed authenticode_image pages < pages.exe
seed authenticode_image nested < nested.exe
seed authenticode_rewritten pages < pages.exe
table() { python3 -c 'import sys,struct;b=open(sys.argv[1],"rb").read();at,n=struct.unpack_from("<II",b,0xe8);sys.stdout.buffer.write(b[at:at+n])' "$1"; }
table nested.exe | seed authenticode_table nested
{ table pages.exe | tail -c +9; } > pkcs7
{ openssl asn1parse -inform DER -in pkcs7 -noout -out exact >/dev/null; cat exact token; } | seed authenticode_attached token
{ cat exact exact; } | seed authenticode_attached nested
"$CUSTODY" --quiet --home absent pe catalog create small.exe message -o made.cat >/dev/null 2>&1 && seed authenticode_catalog made < made.cat || :

printf '{"id":"7","eventName":"certStatusUpdated","certificate":{"thumbprint":"%040d","status":"revoked"}}' 0 | seed authenticode_portal message
printf '{"commitStatus":"CommitComplete","workflowStatus":{"currentStep":"scanning","state":"started"}}' | seed authenticode_portal standing
printf 't=1750000000,v1=%064d' 0 | seed authenticode_portal header
