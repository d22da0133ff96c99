module payments

go 1.22

require custody.example/sdk v0.0.0

replace custody.example/sdk => ../../sdk/go
