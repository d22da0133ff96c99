// Judges a log with Tessera's own packages, from its files or over HTTP: fsck reads every entry, builds every tile again
// and compares; the client builds inclusion proofs and consistency proofs, and the verifier of transparency-dev checks
// them.
//
// usage: tessera-judge LOG_DIR|URL VERIFIER_KEY   (TOKEN in the environment: a bearer token)
package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	if len(os.Args) != 3 {
		fatal(errors.New("usage: tessera-judge LOG_DIR|URL VERIFIER_KEY"))
	}
	verifier, err := note.NewVerifier(os.Args[2])
	if err != nil {
		fatal(err)
	}
	fetcher, err := fetcherOf(os.Args[1])
	if err != nil {
		fatal(err)
	}
	ctx := context.Background()
	if err := fsck.New(verifier.Name(), verifier, fetcher, leafHashes, fsck.Opts{N: 2}).Check(ctx); err != nil {
		fatal(fmt.Errorf("fsck: %w", err))
	}
	size, err := checkProofs(ctx, fetcher, verifier)
	if err != nil {
		fatal(err)
	}
	fmt.Printf("size %d\n", size)
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "tessera-judge:", err)
	os.Exit(1)
}

func fetcherOf(place string) (fsck.Fetcher, error) {
	if !strings.HasPrefix(place, "http") {
		return client.FileFetcher{Root: place}, nil
	}
	root, err := url.Parse(place)
	if err != nil {
		return nil, err
	}
	fetcher, err := client.NewHTTPFetcher(root, nil)
	if err == nil {
		fetcher.SetAuthorizationHeader("Bearer " + os.Getenv("TOKEN"))
	}
	return fetcher, err
}

// leafHashes are those of the entries of a bundle (RFC 6962, section 2.1).
func leafHashes(bundle []byte) ([][]byte, error) {
	var entries api.EntryBundle
	if err := entries.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	hashes := make([][]byte, 0, len(entries.Entries))
	for _, entry := range entries.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(entry))
	}
	return hashes, nil
}

func checkProofs(ctx context.Context, fetcher fsck.Fetcher, verifier note.Verifier) (uint64, error) {
	checkpoint, _, _, err := client.FetchCheckpoint(ctx, fetcher.ReadCheckpoint, verifier, verifier.Name())
	if err != nil {
		return 0, err
	}
	size := checkpoint.Size
	builder, err := client.NewProofBuilder(ctx, size, fetcher.ReadTile)
	if err != nil {
		return 0, err
	}
	for _, index := range []uint64{0, 1, 255, 256, size / 2, size - 1} {
		if index >= size {
			continue
		}
		path, err := builder.InclusionProof(ctx, index)
		if err != nil {
			return 0, fmt.Errorf("inclusion of %d: %w", index, err)
		}
		bundle, err := client.GetEntryBundle(ctx, fetcher.ReadEntryBundle, index/layout.EntryBundleWidth, size)
		if err != nil {
			return 0, fmt.Errorf("bundle of %d: %w", index, err)
		}
		leaf := rfc6962.DefaultHasher.HashLeaf(bundle.Entries[index%layout.EntryBundleWidth])
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, leaf, path, checkpoint.Hash); err != nil {
			return 0, fmt.Errorf("inclusion of %d: %w", index, err)
		}
	}
	for _, old := range []uint64{1, 255, 256, 257, size - 1} {
		if old < 1 || old > size {
			continue
		}
		path, err := builder.ConsistencyProof(ctx, old, size)
		if err != nil {
			return 0, fmt.Errorf("consistency of %d: %w", old, err)
		}
		leaves, err := client.FetchLeafHashes(ctx, fetcher.ReadTile, 0, old, size)
		if err != nil {
			return 0, fmt.Errorf("leaves of %d: %w", old, err)
		}
		if err := proof.VerifyConsistency(rfc6962.DefaultHasher, old, size, path, rootOf(leaves), checkpoint.Hash); err != nil {
			return 0, fmt.Errorf("consistency of %d: %w", old, err)
		}
	}
	return size, nil
}

// rootOf is MTH of RFC 6962, section 2.1.
func rootOf(leaves [][]byte) []byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	split := 1
	for split*2 < len(leaves) {
		split *= 2
	}
	return rfc6962.DefaultHasher.HashChildren(rootOf(leaves[:split]), rootOf(leaves[split:]))
}
