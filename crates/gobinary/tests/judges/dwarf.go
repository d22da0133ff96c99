// Prints what debug/dwarf of Go's standard library finds in an executable, one line each, fields separated by tabs:
//
//	type <address of the descriptor, hex> <bytes> <tag> <name>
//	field <structure> <offset> <name> <type>
//	parameter <function> <entry, hex> <name> <is result> <type> <bytes> <location at entry>
package main

import (
	"bufio"
	"debug/dwarf"
	"debug/elf"
	"fmt"
	"log"
	"os"
)

const runtimeType = dwarf.Attr(0x2904) // DW_AT_go_runtime_type of cmd/internal/dwarf

func main() {
	log.SetFlags(0)
	file, err := elf.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	data, err := file.DWARF()
	if err != nil {
		log.Fatal(err)
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	reader := data.Reader()
	structure := ""
	for {
		entry, err := reader.Next()
		if err != nil {
			log.Fatal(err)
		}
		if entry == nil {
			return
		}
		name, _ := entry.Val(dwarf.AttrName).(string)
		if address, ok := entry.Val(runtimeType).(uint64); ok && name != "" {
			size, ok := entry.Val(dwarf.AttrByteSize).(int64)
			if !ok {
				size = -1
			}
			fmt.Fprintf(out, "type\t%x\t%d\t%s\t%s\n", address, size, entry.Tag, name)
		}
		switch entry.Tag {
		case dwarf.TagStructType:
			structure = name
		case dwarf.TagMember:
			offset, ok := entry.Val(dwarf.AttrDataMemberLoc).(int64)
			if !ok {
				continue
			}
			kind, err := data.Type(entry.Val(dwarf.AttrType).(dwarf.Offset))
			if err != nil {
				continue
			}
			fmt.Fprintf(out, "field\t%s\t%d\t%s\t%s\n", structure, offset, name, kind.Common().Name)
		}
	}
}
