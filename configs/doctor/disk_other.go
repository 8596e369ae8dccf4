//go:build !linux

package doctor

func disk(string) Disk { return Disk{} }
