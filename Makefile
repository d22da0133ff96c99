# Forwards to the one entry point; `cargo xtask help` lists everything.
.PHONY: all demo test soak peers bench lint docs
all:
	cargo build --release --locked
demo:
	sh scripts/setup.sh demo
	cargo xtask demo
test:
	sh scripts/setup.sh test
	cargo xtask test
soak peers bench lint docs:
	cargo xtask $@
