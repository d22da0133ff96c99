package main

import "embed"

//go:embed go.mod
var embeddedfileText string

//go:embed go.mod
var embeddedfileFolder embed.FS

//go:noinline
func embeddedfile(n int) string {
	bytes, err := embeddedfileFolder.ReadFile("go.mod")
	if err != nil || string(bytes) != embeddedfileText || embeddedfileText[:6] != "module" {
		return "an embedded file is wrong"
	}
	return say("new", value(n))
}
