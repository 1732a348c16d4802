module understudy.example/client

go 1.26.0

require (
	github.com/stretchr/testify v1.12.1
	understudy.example/pkg v0.0.0
)

require (
	github.com/mattn/go-colorable v0.1.14 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
	github.com/peterbourgon/ff/v3 v3.4.0 // indirect
	github.com/rs/zerolog v1.35.1 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace understudy.example/pkg => ../pkg
