//! Finding and reading the text files below a folder.

use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Larger files are taken for data rather than text.
const MAX_FILE_BYTES: u64 = 8 << 20;

/// A NUL within this many bytes marks a file as binary, as in git.
const SNIFFED_BYTES: u64 = 8 << 10;

/// A text file, read and on its way to a worker.
#[derive(Debug)]
pub(crate) struct Document {
    /// The file's number; numbers ascend in the order of the paths.
    pub(crate) file: u32,
    /// The file's path below the indexed folder.
    pub(crate) path: PathBuf,
    /// All of its text.
    pub(crate) text: String,
}

/// The number of skipped entries, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// Files with a NUL near their beginning, or that are not UTF-8.
    pub(crate) binary: u64,
    /// Files of more than [`MAX_FILE_BYTES`].
    pub(crate) huge: u64,
    /// Files and folders that could not be read.
    pub(crate) unreadable: u64,
    /// Symbolic links, which may form cycles, and devices, pipes and sockets, which may never end.
    pub(crate) special: u64,
}

/// Why an entry was skipped; see [`Skipped`].
enum Skip {
    Binary,
    Huge,
    Unreadable,
    Special,
}

/// An I/O error does not end the walk: the file or folder is skipped and counted.
impl From<io::Error> for Skip {
    fn from(_: io::Error) -> Self {
        Self::Unreadable
    }
}

/// A file or folder yet to be visited.
struct Entry {
    path: PathBuf,
    kind: FileType,
}

/// Yields every text file below a folder, in the order of their paths.
///
/// This order makes the index reproducible: the number of a file, and where `limit` stops, depend only on the folder
/// and not on scheduling. It is also why one thread does all the reading.
pub(crate) struct Reader {
    root: PathBuf,
    limit: u64,
    /// A stack, so that the entries of a folder are visited where the folder was.
    pending: Vec<Entry>,
    files: u32,
    bytes: u64,
    skipped: Skipped,
}

impl Reader {
    /// Prepares to read what is below `root`, until at least `limit` bytes of text have been read.
    ///
    /// Fails if `root` is not a folder that can be listed. `root` itself may be a symbolic link.
    pub(crate) fn open(root: &Path, limit: u64) -> io::Result<Self> {
        let pending = list_backwards(root)?;
        Ok(Self { root: root.to_owned(), limit, pending, files: 0, bytes: 0, skipped: Skipped::default() })
    }

    /// The folder being read.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// How many text files have been read.
    pub(crate) fn files(&self) -> u32 {
        self.files
    }

    /// How many bytes of text have been read.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The skipped entries.
    pub(crate) fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// Reads the entry if it is a text file; a folder yields nothing yet but leaves its own entries pending.
    fn visit(&mut self, entry: &Entry) -> Result<Option<String>, Skip> {
        if entry.kind.is_dir() {
            self.pending.append(&mut list_backwards(&entry.path)?);
            Ok(None)
        } else if entry.kind.is_file() {
            read_text(&entry.path).map(Some)
        } else {
            Err(Skip::Special)
        }
    }

    /// Numbers the file.
    fn document(&mut self, path: &Path, text: String) -> Document {
        let file = self.files;
        self.files += 1;
        self.bytes += text.len() as u64;
        let path = path.strip_prefix(&self.root).unwrap_or(path).to_owned();
        Document { file, path, text }
    }

    /// Counts a skipped entry.
    fn tally(&mut self, skip: &Skip) {
        let counter = match skip {
            Skip::Binary => &mut self.skipped.binary,
            Skip::Huge => &mut self.skipped.huge,
            Skip::Unreadable => &mut self.skipped.unreadable,
            Skip::Special => &mut self.skipped.special,
        };
        *counter += 1;
    }
}

impl Iterator for Reader {
    type Item = Document;

    fn next(&mut self) -> Option<Document> {
        while self.bytes < self.limit {
            let entry = self.pending.pop()?;
            match self.visit(&entry) {
                Ok(Some(text)) => return Some(self.document(&entry.path, text)),
                Ok(None) => {}
                Err(skip) => self.tally(&skip),
            }
        }
        None
    }
}

/// The entries of `folder`, last name first, as [`Reader::pending`] wants them.
fn list_backwards(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = fs::read_dir(folder)?
        .map(|entry| {
            let entry = entry?;
            // The type of the entry itself: symbolic links are not followed.
            Ok(Entry { path: entry.path(), kind: entry.file_type()? })
        })
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort_unstable_by(|a, b| b.path.cmp(&a.path));
    Ok(entries)
}

/// Reads a text file whole, and as little as possible of any other.
fn read_text(path: &Path) -> Result<String, Skip> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    if size == 0 {
        // Also because some files in /proc have size 0 and block their reader for ever.
        return Ok(String::new());
    }
    if size > MAX_FILE_BYTES {
        return Err(Skip::Huge);
    }
    let mut bytes = Vec::with_capacity(size as usize + 1);
    (&file).take(SNIFFED_BYTES).read_to_end(&mut bytes)?;
    if bytes.contains(&0) {
        return Err(Skip::Binary);
    }
    // The file may have grown since its size was read.
    (&file).take(MAX_FILE_BYTES - bytes.len() as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Skip::Huge);
    }
    String::from_utf8(bytes).map_err(|_| Skip::Binary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::env;
    use std::process;

    /// A folder that is removed after the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let folder = env::temp_dir().join(format!("quickstart-{}-{name}", process::id()));
            fs::create_dir_all(&folder).expect("a scratch folder");
            Self(folder)
        }

        fn write(&self, name: &str, content: impl AsRef<[u8]>) {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().expect("below the scratch folder")).expect("its folder");
            fs::write(path, content).expect("a scratch file");
        }

        fn read(&self, limit: u64) -> (Vec<PathBuf>, Reader) {
            let mut reader = Reader::open(&self.0, limit).expect("the scratch folder");
            (reader.by_ref().map(|document| document.path).collect(), reader)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn files_come_in_the_order_of_their_paths() {
        let scratch = Scratch::new("order");
        for name in ["b", "a/z", "a/b/c", "a.txt", "a-b/x", "c/d"] {
            scratch.write(name, name);
        }
        let (paths, reader) = scratch.read(u64::MAX);
        assert_eq!(paths.len(), 6);
        assert!(paths.is_sorted(), "{paths:?}");
        assert_eq!((reader.files(), reader.bytes(), reader.skipped()), (6, 22, Skipped::default()));
    }

    #[test]
    fn only_text_is_read_and_the_rest_is_counted() {
        let scratch = Scratch::new("skips");
        scratch.write("empty", "");
        scratch.write("text", "größe");
        scratch.write("late-nul", [vec![b'x'; SNIFFED_BYTES as usize], vec![0]].concat());
        scratch.write("nul", b"ab\0cd");
        scratch.write("latin-1", b"gr\xf6\xdfe");
        scratch.write("largest", vec![b'x'; MAX_FILE_BYTES as usize]);
        scratch.write("huge", vec![b'x'; MAX_FILE_BYTES as usize + 1]);
        let (paths, reader) = scratch.read(u64::MAX);
        assert_eq!(paths, ["empty", "largest", "late-nul", "text"].map(PathBuf::from));
        assert_eq!(reader.skipped(), Skipped { binary: 2, huge: 1, ..Skipped::default() });
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let scratch = Scratch::new("links");
        scratch.write("folder/file", "text");
        std::os::unix::fs::symlink("..", scratch.0.join("folder/loop")).expect("a link");
        std::os::unix::fs::symlink("nowhere", scratch.0.join("dangling")).expect("a link");
        let (paths, reader) = scratch.read(u64::MAX);
        assert_eq!(paths, [PathBuf::from("folder/file")]);
        assert_eq!(reader.skipped(), Skipped { special: 2, ..Skipped::default() });
    }

    #[test]
    fn an_unreadable_folder_costs_only_itself() {
        let scratch = Scratch::new("unreadable");
        scratch.write("gone/file", "text");
        scratch.write("here", "text");
        let mut reader = Reader::open(&scratch.0, u64::MAX).expect("the scratch folder");
        fs::remove_dir_all(scratch.0.join("gone")).expect("removing it");
        assert_eq!(reader.by_ref().count(), 1);
        assert_eq!(reader.skipped(), Skipped { unreadable: 1, ..Skipped::default() });
    }

    #[test]
    fn the_limit_ends_the_reading() {
        let scratch = Scratch::new("limit");
        for name in ["1", "2", "3"] {
            scratch.write(name, "ten bytes.");
        }
        assert_eq!(scratch.read(10).0.len(), 1);
        assert_eq!(scratch.read(11).0.len(), 2);
    }
}
