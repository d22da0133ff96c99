//! Which packages a standard library must hold.
//!
//! The list is that of Go 1.18 on every platform, without internal packages. By the Go 1 promise no later release
//! takes one away, so a missing one is damage. What later releases added is judged by whether it loads.

/// Import paths, one a word.
const GO_1_18: &str = "\
archive/tar archive/zip bufio bytes compress/bzip2 compress/flate compress/gzip compress/lzw compress/zlib \
container/heap container/list container/ring context crypto crypto/aes crypto/cipher crypto/des crypto/dsa \
crypto/ecdsa crypto/ed25519 crypto/elliptic crypto/hmac crypto/md5 crypto/rand crypto/rc4 crypto/rsa \
crypto/sha1 crypto/sha256 crypto/sha512 crypto/subtle crypto/tls crypto/x509 crypto/x509/pkix database/sql \
database/sql/driver debug/buildinfo debug/dwarf debug/elf debug/gosym debug/macho debug/pe debug/plan9obj \
embed encoding encoding/ascii85 encoding/asn1 encoding/base32 encoding/base64 encoding/binary encoding/csv \
encoding/gob encoding/hex encoding/json encoding/pem encoding/xml errors expvar flag fmt go/ast go/build \
go/build/constraint go/constant go/doc go/format go/importer go/parser go/printer go/scanner go/token \
go/types hash hash/adler32 hash/crc32 hash/crc64 hash/fnv hash/maphash html html/template image image/color \
image/color/palette image/draw image/gif image/jpeg image/png index/suffixarray io io/fs io/ioutil log \
log/syslog math math/big math/bits math/cmplx math/rand mime mime/multipart mime/quotedprintable net net/http \
net/http/cgi net/http/cookiejar net/http/fcgi net/http/httptest net/http/httptrace net/http/httputil \
net/http/pprof net/mail net/netip net/rpc net/rpc/jsonrpc net/smtp net/textproto net/url os os/exec \
os/signal os/user path path/filepath plugin reflect regexp regexp/syntax runtime runtime/debug \
runtime/metrics runtime/pprof runtime/race runtime/trace sort strconv strings sync sync/atomic syscall testing \
testing/fstest testing/iotest testing/quick text/scanner text/tabwriter text/template text/template/parse \
time time/tzdata unicode unicode/utf16 unicode/utf8 unsafe";

/// Missing or unloadable packages, from lines of import path, tab, `true` for one that is incomplete.
pub(super) fn faults(listed: &str, version: Option<&str>) -> Vec<String> {
    let lines: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.split_once('\t')).collect();
    let mut faults: Vec<String> = lines
        .iter()
        .filter(|(_, incomplete)| *incomplete == "true")
        .map(|(path, _)| (*path).to_owned())
        .collect();
    if version.is_some_and(since_1_18) {
        let missing =
            GO_1_18.split_whitespace().filter(|path| !lines.iter().any(|(listed, _)| listed == path));
        // First what is gone: what imports it is only a consequence.
        faults.splice(0..0, missing.map(str::to_owned));
    }
    faults
}

fn since_1_18(version: &str) -> bool {
    let mut parts = version.trim_start_matches("go").split(['.', 'r', 'b']);
    let mut number = || parts.next().and_then(|n| n.parse::<u32>().ok());
    matches!((number(), number()), (Some(1), Some(18..)) | (Some(2..), _))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_before_what_is_broken_by_it() {
        let all: String = GO_1_18.split_whitespace().map(|p| format!("{p}\tfalse\n")).collect();
        assert!(faults(&all, Some("go1.27.3")).is_empty());
        let without = all.replace("net/http\tfalse\n", "").replace("expvar\tfalse", "expvar\ttrue");
        assert_eq!(faults(&without, Some("go1.27.3")), ["net/http", "expvar"]);
        assert_eq!(faults(&without, Some("go1.4")), ["expvar"]);
        assert_eq!(faults(&without, None), ["expvar"]);
    }

    #[test]
    fn versions_are_told_apart() {
        for new in ["go1.18", "go1.18.10", "go1.27rc1", "go2.0", "go1.30beta1"] {
            assert!(since_1_18(new), "{new}");
        }
        for old in ["go1.17.13", "go1.4", "devel", ""] {
            assert!(!since_1_18(old), "{old}");
        }
    }
}
