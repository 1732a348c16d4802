package subject

import (
	"os"
	"testing"
)

func TestLarger(t *testing.T) {
	if Larger(1, 2) != 2 || Larger(2, 1) != 2 {
		t.Fatal("wrong")
	}
}

func TestEnvironment(t *testing.T) {
	if os.Getenv("SUBJECT") != "" || os.Getenv("UNDERSTUDY_MUTANTS") != "" {
		t.Fatal("asked for")
	}
}
