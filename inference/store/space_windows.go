package store

import "golang.org/x/sys/windows"

// space is how many bytes a user may still write to the disk of a folder; false
// where the system does not say.
func space(dir string) (int64, bool) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, false
	}
	var free uint64
	if windows.GetDiskFreeSpaceEx(path, &free, nil, nil) != nil {
		return 0, false
	}
	return int64(free), true
}
