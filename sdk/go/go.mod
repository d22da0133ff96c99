module custody.example/sdk

go 1.21
