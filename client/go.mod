module understudy.example/client

go 1.26.0

require (
	github.com/stretchr/testify v1.12.1
	understudy.example/pkg v0.0.0
)

require (
	github.com/peterbourgon/ff/v3 v3.4.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)

replace understudy.example/pkg => ../pkg
