// SPDX-License-Identifier: GPL-2.0-only

//! Files in debugfs that print something.
//!
//! The kernel crate's files do not name the module that they belong to, so that one which is still open when the module
//! goes would be released through memory that is gone. These do.

use super::compat::THIS_MODULE;
use crate::bindings;
use core::ptr;
use kernel::{
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    seq_file::SeqFile,
    str::CStr, //
};

/// What a file prints.
pub(crate) trait Show: Send + Sync + 'static {
    /// Prints it.
    fn show(&self, out: &SeqFile);
}

/// A name in debugfs, which goes when this is dropped.
///
/// # Invariants
///
/// NULL, an ERR_PTR, or an entry that is this value's to remove.
struct Entry(*mut bindings::dentry);

// SAFETY: debugfs has its own locking.
unsafe impl Send for Entry {}
// SAFETY: As above.
unsafe impl Sync for Entry {}

impl Drop for Entry {
    fn drop(&mut self) {
        // SAFETY: The type invariant; debugfs_remove() takes NULL and ERR_PTR. It waits for readers.
        unsafe { bindings::kfi_debugfs_remove(self.0) }
    }
}

/// A directory.
pub(crate) struct Dir(Entry);

impl Dir {
    /// Makes one at the root, or in `parent`.
    pub(crate) fn new(name: &CStr, parent: Option<&Dir>) -> Self {
        let parent = parent.map_or(ptr::null_mut(), |dir| dir.0 .0);
        // SAFETY: The string lives through the call; the parent is a directory, or an ERR_PTR, which is handed on.
        // INVARIANT: Made here.
        Self(Entry(unsafe {
            bindings::kfi_debugfs_create_dir(name.as_char_ptr(), parent)
        }))
    }
}

/// A file, and what it prints. Dropped in this order.
pub(crate) struct File<T: Show> {
    _entry: Entry,
    _data: KBox<T>,
}

impl<T: Show> File<T> {
    /// Makes a file in `dir`.
    pub(crate) fn new(name: &CStr, dir: &Dir, data: T) -> Result<Self>
    where
        T: FileOperations,
    {
        let data = KBox::new(data, GFP_KERNEL)?;
        // SAFETY: The string lives through the call, the table forever, and the data until the entry is removed.
        // INVARIANT: Made here.
        let entry = Entry(unsafe {
            bindings::kfi_debugfs_create_file(
                name.as_char_ptr(),
                0o444,
                dir.0 .0,
                ptr::from_ref::<T>(&data).cast_mut().cast(),
                T::table(),
            )
        });
        Ok(Self {
            _entry: entry,
            _data: data,
        })
    }
}

/// A type with a table of file operations in static memory; implemented by [`show_in_debugfs`].
pub(crate) trait FileOperations: Show {
    /// The table.
    fn table() -> *const bindings::file_operations;
}

/// Table for files that print a `T`.
pub(crate) const fn table<T: Show>() -> bindings::file_operations {
    bindings::file_operations {
        owner: THIS_MODULE.as_ptr(),
        open: Some(open::<T>),
        read: Some(bindings::seq_read),
        llseek: Some(bindings::seq_lseek),
        release: Some(bindings::single_release),
        ..pin_init::zeroed()
    }
}

/// Opens a file that prints a `T`.
///
/// # Safety
///
/// For debugfs only: `inode` belongs to the entry of a [`File`].
unsafe extern "C" fn open<T: Show>(
    inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> c_int {
    // SAFETY: debugfs opens the file while the entry, and with it the data, is there.
    unsafe { bindings::single_open(file, Some(show::<T>), (*inode).i_private) }
}

/// Prints it.
///
/// # Safety
///
/// For seq_file only: `seq` was opened by [`open`].
unsafe extern "C" fn show<T: Show>(seq: *mut bindings::seq_file, _: *mut c_void) -> c_int {
    // SAFETY: debugfs reads while the entry is there. `open` has set the argument to the data.
    unsafe {
        let data = (*seq).private.cast::<T>();
        (*data).show(SeqFile::from_raw(seq));
    }
    0
}

/// A table in static memory.
#[repr(transparent)]
pub(crate) struct Table(pub(crate) bindings::file_operations);

// SAFETY: Constant.
unsafe impl Sync for Table {}

/// Lets a type that implements [`Show`] be printed by a [`File`].
macro_rules! show_in_debugfs {
    ($type:ty) => {
        impl $crate::sys::debugfs::FileOperations for $type {
            fn table() -> *const $crate::bindings::file_operations {
                static TABLE: $crate::sys::debugfs::Table =
                    $crate::sys::debugfs::Table($crate::sys::debugfs::table::<$type>());
                &TABLE.0
            }
        }
    };
}
pub(crate) use show_in_debugfs;
