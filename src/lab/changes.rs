//! What commands changed in a simulated host, read from the upper directories of its overlays.

use super::error::{LabError, file};
use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It was not there before.
    Added,
    /// Its type, content, owner or mode differs.
    Changed,
    /// It is gone; what was below it is not listed.
    Removed,
}

/// One changed path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Absolute path in the host.
    pub path: String,
    /// What happened.
    pub kind: ChangeKind,
}

/// One overlay: where it is mounted, its upper directory and its lower ones, topmost first.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    mounted: PathBuf,
    upper: PathBuf,
    lowers: Vec<PathBuf>,
}

/// The overlays that `init.sh` makes for the host in `directory`.
pub(crate) fn layers(directory: &Path, base: &Path) -> Vec<Layer> {
    let seed = directory.join("seed");
    let layer = |name: &str, mounted: &str, lowers: Vec<PathBuf>| Layer {
        mounted: PathBuf::from(mounted),
        upper: directory.join("upper").join(name),
        lowers,
    };
    let mut all = vec![
        layer("root", "", vec![seed.clone(), base.to_owned()]),
        layer(
            "usr-local",
            "usr/local",
            vec![seed.join("usr/local"), base.join("usr/local")],
        ),
    ];
    for top in ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        if directory.join("upper").join(top).is_dir() {
            all.push(layer(top, top, vec![base.join(top), Path::new("/").join(top)]));
        }
    }
    all
}

/// Reads all layers; `view` is the host's root as it is now.
pub(crate) fn read(layers: &[Layer], view: &Path) -> Result<Vec<Change>, LabError> {
    let mut found = BTreeMap::new();
    for layer in layers {
        directory(layer, view, Path::new(""), &mut found)?;
    }
    Ok(found
        .into_iter()
        .map(|(path, kind)| Change { path, kind })
        .collect())
}

fn about(path: &Path) -> Result<Option<Metadata>, LabError> {
    match fs::symlink_metadata(path) {
        Ok(about) => Ok(Some(about)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(file("look at", path)(error)),
    }
}

/// What lay below a path before anything changed.
fn before(layer: &Layer, relative: &Path) -> Result<Option<(PathBuf, Metadata)>, LabError> {
    for lower in &layer.lowers {
        let path = lower.join(relative);
        if let Some(about) = about(&path)? {
            return Ok(Some((path, about)));
        }
    }
    Ok(None)
}

fn name(layer: &Layer, relative: &Path) -> String {
    let path = Path::new("/").join(&layer.mounted).join(relative);
    path.to_string_lossy().into_owned()
}

fn directory(
    layer: &Layer,
    view: &Path,
    relative: &Path,
    found: &mut BTreeMap<String, ChangeKind>,
) -> Result<(), LabError> {
    let upper = layer.upper.join(relative);
    for entry in fs::read_dir(&upper).map_err(file("list", &upper))? {
        let entry = entry.map_err(file("list", &upper))?;
        let path = relative.join(entry.file_name());
        let now = fs::symlink_metadata(entry.path()).map_err(file("look at", entry.path()))?;
        let was = before(layer, &path)?;
        // The overlay marks what was removed by a device numbered 0.
        if now.file_type().is_char_device() && now.rdev() == 0 {
            if was.is_some() {
                found.insert(name(layer, &path), ChangeKind::Removed);
            }
            continue;
        }
        match &was {
            None => {
                found.insert(name(layer, &path), ChangeKind::Added);
            }
            Some((old, was)) => {
                if !same(old, was, &entry.path(), &now)? {
                    found.insert(name(layer, &path), ChangeKind::Changed);
                }
            }
        }
        if now.is_dir() {
            directory(layer, view, &path, found)?;
            if was.is_some_and(|(_, was)| was.is_dir()) {
                gone(layer, view, &path, found)?;
            }
        }
    }
    Ok(())
}

/// A directory that was removed and made again hides what it had without marking each name: compare with what is seen.
fn gone(
    layer: &Layer,
    view: &Path,
    relative: &Path,
    found: &mut BTreeMap<String, ChangeKind>,
) -> Result<(), LabError> {
    let seen = view.join(&layer.mounted).join(relative);
    for lower in &layer.lowers {
        let lower = lower.join(relative);
        if !about(&lower)?.is_some_and(|lower| lower.is_dir()) {
            continue;
        }
        for entry in fs::read_dir(&lower).map_err(file("list", &lower))? {
            let entry = entry.map_err(file("list", &lower))?.file_name();
            if about(&seen.join(&entry))?.is_none() {
                found.insert(name(layer, &relative.join(entry)), ChangeKind::Removed);
            }
        }
    }
    Ok(())
}

/// Whether two entries are alike in type, owner, mode and content. Directories are compared without what is in them.
fn same(old: &Path, was: &Metadata, new: &Path, now: &Metadata) -> Result<bool, LabError> {
    if was.mode() != now.mode() || was.uid() != now.uid() || was.gid() != now.gid() {
        return Ok(false);
    }
    if now.is_symlink() {
        let old = fs::read_link(old).map_err(file("read", old))?;
        return Ok(old == fs::read_link(new).map_err(file("read", new))?);
    }
    if !now.is_file() {
        return Ok(was.rdev() == now.rdev());
    }
    if was.len() != now.len() {
        return Ok(false);
    }
    let mut one = fs::File::open(old).map_err(file("read", old))?;
    let mut two = fs::File::open(new).map_err(file("read", new))?;
    let (mut a, mut b) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let n = one.read(&mut a).map_err(file("read", old))?;
        if n == 0 {
            return Ok(true);
        }
        if two.read_exact(&mut b[..n]).is_err() || a[..n] != b[..n] {
            return Ok(false);
        }
    }
}
