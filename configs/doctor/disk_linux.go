package doctor

import "golang.org/x/sys/unix"

var foreign = map[int64]string{
	unix.NFS_SUPER_MAGIC:       "NFS",
	unix.CIFS_SUPER_MAGIC:      "CIFS",
	unix.SMB2_SUPER_MAGIC:      "SMB",
	unix.CEPH_SUPER_MAGIC:      "Ceph",
	unix.AFS_SUPER_MAGIC:       "AFS",
	unix.V9FS_MAGIC:            "9P",
	unix.FUSE_SUPER_MAGIC:      "FUSE",
	unix.TMPFS_MAGIC:           "a tmpfs, which is memory",
	unix.OVERLAYFS_SUPER_MAGIC: "an overlay, which goes with its container",
}

func disk(dir string) Disk {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return Disk{}
	}
	return Disk{true, foreign[int64(s.Type)], s.Bavail * uint64(s.Bsize)}
}
