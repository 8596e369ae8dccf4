package journal

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"go.uber.org/zap"
)

// The file has three buckets: what it is, the calls by their IDs, and the graves of calls that are over by when that
// was.
var (
	bucketFile   = []byte("file")
	bucketCalls  = []byte("calls")
	bucketGraves = []byte("graves")
	keySchema    = []byte("schema")
)

// schema is the form of the file itself; that of a record is Version.
const schema = 1

// graveTime is how long copies of a message may come (64*T1), and a restart more.
const graveTime = time.Minute

var (
	// ErrHeld says that another process writes to the file.
	ErrHeld = errors.New("another process holds the journal")
	// ErrCorrupted says that the file is none of ours, or is one no more.
	ErrCorrupted = errors.New("journal corrupted")
)

// holdTime is how long a predecessor that is ending may still hold the file.
const holdTime = 2 * time.Second

// Observer is told what becomes of records; it does not block.
type Observer interface {
	// JournalWritten: a batch of changes is safe against the death of the process.
	JournalWritten(changes int, took time.Duration)
	// JournalFailed: a batch, or the second's fsync, could not be written.
	JournalFailed()
	// JournalDropped: a change found no room to wait in.
	JournalDropped()
	// JournalHealthy tells when writing begins to fail, and when it works again.
	JournalHealthy(bool)
}

// Deps are a Bolt's ways out.
type Deps struct {
	Log      *zap.Logger
	Observer Observer
}

// Kept is what a journal holds when it is opened.
type Kept struct {
	Records []Record
	// Buried are dialogs that ended a moment ago.
	Buried []DialogID
	// Unread is why records were left out and forgotten.
	Unread []error
	// Aside is where a corrupted file was moved to, "" if there was none.
	Aside string
}

// Open opens the journal at path for this process alone, and creates it, with its directory, where there is none. A
// file that is corrupted is set aside, and told of in Kept. Errors wrap ErrHeld or ErrNewer, or say what the system said.
func Open(path string, deps Deps) (*Bolt, Kept, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, Kept{}, fmt.Errorf("journal: %w", err)
	}
	db, kept, err := open(path)
	if errors.Is(err, ErrCorrupted) {
		aside := path + ".corrupted-" + time.Now().UTC().Format("20060102T150405.000")
		deps.Log.Error("the journal can't be read and is set aside; the calls in it are lost", zap.String("path", path), zap.String("aside", aside), zap.Error(err))
		if err := os.Rename(path, aside); err != nil {
			return nil, Kept{}, fmt.Errorf("set the corrupted journal aside: %w", err)
		}
		db, kept, err = open(path)
		kept.Aside = aside
	}
	if err != nil {
		return nil, Kept{}, fmt.Errorf("journal %s: %w", path, err)
	}
	return newBolt(db, deps), kept, nil
}

// open reads the whole file: what is damaged shall show now, and what is not shall be safe to write to.
func open(path string) (db *bbolt.DB, kept Kept, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // a disk that dies is a fault in the file's mapping
	defer func() {
		if r := recover(); r != nil { // bbolt asserts what it reads
			err = fmt.Errorf("%w: %v", ErrCorrupted, r)
		}
		if err != nil && db != nil {
			_ = db.Close()
		}
	}()
	if err := sound(path); err != nil {
		return nil, kept, explained(path, err)
	}
	// Without fsync: what write(2) has taken outlives the process, and who writes calls Sync each second.
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: holdTime, NoSync: true, NoGrowSync: true, FreelistType: bbolt.FreelistMapType, InitialMmapSize: 64 << 20})
	if err != nil {
		return nil, kept, explained(path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil { // it holds keys, whoever has made the file
		return db, kept, err
	}
	if err := prepare(db); err != nil {
		return db, kept, err
	}
	kept, err = read(db)
	return db, kept, err
}

// sound inspects the file, if there is one, while nobody writes to it.
func sound(path string) error {
	switch info, err := os.Stat(path); {
	case err != nil:
		return nil // bbolt makes it, or knows why not
	case !info.Mode().IsRegular(): // a folder above all: with what is in it, it is not ours to be set aside
		return errNoFile
	case info.Size() == 0:
		return nil
	}
	held, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: holdTime, ReadOnly: true}) // reads no more than its heads
	if err != nil {
		return err
	}
	return errors.Join(inspect(path), held.Close())
}

var errNoFile = errors.New("not a file, but a folder or a device")

// explained says what an error of bbolt's means.
func explained(path string, err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return ErrHeld
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch), cutShort(path):
		return fmt.Errorf("%w: %w", ErrCorrupted, err)
	}
	return err
}

// cutShort tells whether there is a file that holds less than the two pages with which every journal begins.
func cutShort(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() > 0 && info.Size() < int64(4*os.Getpagesize())
}

// prepare makes a new file a journal, and refuses one of a later version.
func prepare(db *bbolt.DB) error {
	return db.Update(func(tx *bbolt.Tx) error {
		file := tx.Bucket(bucketFile)
		if file == nil {
			if first, _ := tx.Cursor().First(); first != nil {
				return fmt.Errorf("%w: the file is of another program", ErrCorrupted)
			}
			var err error
			if file, err = tx.CreateBucket(bucketFile); err != nil {
				return err
			}
			if err := file.Put(keySchema, binary.BigEndian.AppendUint32(nil, schema)); err != nil {
				return err
			}
		}
		for _, name := range [][]byte{bucketCalls, bucketGraves} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return readable(file)
	})
}

// readable tells whether this build knows the form of the file.
func readable(file *bbolt.Bucket) error {
	version := file.Get(keySchema)
	if len(version) != 4 {
		return fmt.Errorf("%w: no schema", ErrCorrupted)
	}
	if v := binary.BigEndian.Uint32(version); v > schema {
		return fmt.Errorf("%w: the file has schema %d, this build reads up to %d; start the build that wrote it, or move the file away to lose its calls", ErrNewer, v, schema)
	}
	return nil
}

// read returns what is in the file. A record that can't be read is forgotten; one of a later
// version keeps the edge from starting.
func read(db *bbolt.DB) (kept Kept, err error) {
	err = db.Update(func(tx *bbolt.Tx) error {
		calls := tx.Bucket(bucketCalls)
		var unread [][]byte
		err := calls.ForEach(func(id, data []byte) error {
			record, err := Decode(data)
			switch {
			case errors.Is(err, ErrNewer):
				return fmt.Errorf("%w; start the build that wrote it, or move the file away to lose its calls", err)
			case err != nil:
				kept.Unread = append(kept.Unread, fmt.Errorf("call %q: %w", id, err))
				unread = append(unread, append([]byte(nil), id...))
			default:
				kept.Records = append(kept.Records, record)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, id := range unread {
			if err := calls.Delete(id); err != nil {
				return err
			}
		}
		young := graveKey(time.Now().Add(-graveTime), "")
		graves := tx.Bucket(bucketGraves).Cursor()
		for k, data := graves.Seek(young); k != nil; k, data = graves.Next() {
			var dialogs []DialogID
			if json.Unmarshal(data, &dialogs) == nil { // else nobody is late for it
				kept.Buried = append(kept.Buried, dialogs...)
			}
		}
		return nil
	})
	if err != nil {
		return Kept{}, err
	}
	return kept, nil
}

// graveKey orders graves by age.
func graveKey(at time.Time, id string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(at.UnixNano())), id...)
}
