//go:build !unix

package upgrade

// Store is none here.
type Store struct{}

func OpenStore(StoreDeps) *Store             { return nil }
func (*Store) Keep(string, ...int)           {}
func (*Store) Remove(string)                 {}
func (*Store) Claim(string, ...Socket) []int { return nil }
func (*Store) Discard() int                  { return 0 }
func (*Store) Close()                        {}

func (*Store) Release(string) <-chan struct{} {
	heard := make(chan struct{})
	close(heard)
	return heard
}
