// Reads a log with Go's own packages, from the files alone: opens the checkpoint, recomputes the tree from the
// tiles, and checks a proof of every record it is told to look at.
//
// usage: go-reader LOG_DIR VERIFIER_KEY [INDEX...]
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if len(os.Args) < 3 {
		fatal(errors.New("usage: go-reader LOG_DIR VERIFIER_KEY [INDEX...]"))
	}
	tree, err := openCheckpoint(os.Args[1], os.Args[2])
	if err != nil {
		fatal(err)
	}
	reader := tiles{dir: os.Args[1], size: tree.N}
	hashes := tlog.TileHashReader(tree, reader)
	for _, arg := range os.Args[3:] {
		index, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			fatal(err)
		}
		if err := checkRecord(reader, hashes, tree, index); err != nil {
			fatal(fmt.Errorf("record %d: %w", index, err))
		}
	}
	// Every prefix that ends at a tile edge, and the tree before the last record, must be consistent with it.
	for _, old := range []int64{1, 255, 256, 257, tree.N - 1} {
		if old < 1 || old > tree.N {
			continue
		}
		if err := checkTree(hashes, tree, old); err != nil {
			fatal(fmt.Errorf("tree of %d: %w", old, err))
		}
	}
	fmt.Printf("size %d root %v\n", tree.N, tree.Hash)
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "go-reader:", err)
	os.Exit(1)
}

func openCheckpoint(dir, key string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return tlog.Tree{}, err
	}
	msg, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(msg, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

func checkRecord(reader tiles, hashes tlog.HashReader, tree tlog.Tree, index int64) error {
	record, err := reader.record(index)
	if err != nil {
		return err
	}
	proof, err := tlog.ProveRecord(tree.N, index, hashes)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(record))
}

func checkTree(hashes tlog.HashReader, tree tlog.Tree, old int64) error {
	root, err := tlog.TreeHash(old, hashes)
	if err != nil {
		return err
	}
	proof, err := tlog.ProveTree(tree.N, old, hashes)
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, tree.N, tree.Hash, old, root)
}

// tiles reads the files of c2sp.org/tlog-tiles.
type tiles struct {
	dir  string
	size int64
}

func (tiles) Height() int                     { return 8 }
func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (t tiles) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(want))
	for i, tile := range want {
		data, err := os.ReadFile(filepath.Join(t.dir, path(strconv.Itoa(tile.L), tile.N, tile.W)))
		if err != nil {
			return nil, err
		}
		out[i] = data
	}
	return out, nil
}

// path is the path of c2sp.org/tlog-tiles: tlog.Tile.Path has the height in it, that one has not.
func path(level string, n int64, width int) string {
	number := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		number = fmt.Sprintf("x%03d/%s", n%1000, number)
	}
	if width < 256 {
		number += fmt.Sprintf(".p/%d", width)
	}
	return "tile/" + level + "/" + number
}

// record reads an entry from its bundle.
func (t tiles) record(index int64) ([]byte, error) {
	bundle, at := index/256, index%256
	width := min(t.size-bundle*256, 256)
	data, err := os.ReadFile(filepath.Join(t.dir, path("entries", bundle, int(width))))
	if err != nil {
		return nil, err
	}
	for ; len(data) >= 2; at-- {
		length := int(binary.BigEndian.Uint16(data))
		if len(data) < 2+length {
			break
		}
		if at == 0 {
			return data[2 : 2+length], nil
		}
		data = data[2+length:]
	}
	return nil, errors.New("the bundle is cut off")
}
