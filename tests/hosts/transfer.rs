//! Files, with the host's own tools.

use crate::sshd::{Setup, Sshd, World};
use mkectl::ssh::Session;
use mkectl::ssh::sudo::{Privilege, SudoFault};
use mkectl::ssh::transfer::{Content, TransferError, Upload, Uploaded, download, upload};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;

async fn one(world: &World, extra: &str) -> (Sshd, Arc<dyn Session>) {
    let sshd = world.sshd(extra);
    let host = world.host("h", sshd.port, "user");
    let session = Setup::trusting(&[&sshd]).connect(&host).await.unwrap();
    (sshd, session)
}

fn names(world: &World, directory: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(world.path(directory))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_file_goes_there_and_back_with_odd_names_and_a_noisy_shell() {
    let world = World::new();
    let noisy = world.script("noisy", "echo welcome; exec sh -c \"$SSH_ORIGINAL_COMMAND\"");
    for extra in [String::new(), format!("ForceCommand {noisy}")] {
        let (_sshd, session) = one(&world, &extra).await;
        let content: Vec<u8> = (0..3_000_000u32).map(|n| (n * 7 % 256) as u8).collect();
        let path = world.name("new/deep/it's a\\file $HOME");
        let done = upload(&*session, Privilege::Root, Upload::bytes(&path, 0o640, &content))
            .await
            .unwrap();
        assert_eq!(done, Uploaded::Written);
        assert_eq!(fs::read(&path).unwrap(), content);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(names(&world, "new/deep"), ["it's a\\file $HOME"]);
        let mut back = Vec::new();
        let read = download(&*session, Privilege::Root, &path, &mut back)
            .await
            .unwrap();
        assert!(back == content);
        assert_eq!(read.bytes, 3_000_000);
        // Again: nothing is sent, the mode is set all the same, the file is the same one.
        let inode = fs::metadata(&path).unwrap().ino();
        let done = upload(&*session, Privilege::Root, Upload::bytes(&path, 0o600, &content))
            .await
            .unwrap();
        assert_eq!(done, Uploaded::Present);
        let after = fs::metadata(&path).unwrap();
        assert_eq!((after.ino(), after.permissions().mode() & 0o7777), (inode, 0o600));
        fs::remove_dir_all(world.path("new")).unwrap();
    }
}

#[tokio::test]
async fn a_reader_that_gives_something_else_leaves_the_old_file() {
    let world = World::new();
    let (_sshd, session) = one(&world, "").await;
    let path = world.name("d/file");
    upload(&*session, Privilege::Root, Upload::bytes(&path, 0o644, b"old"))
        .await
        .unwrap();
    let mut wrong = Upload::bytes(&path, 0o644, b"announced");
    wrong.content = Content::Reader(Box::new(&b"delivered"[..]));
    let error = upload(&*session, Privilege::Root, wrong).await.unwrap_err();
    assert!(matches!(error, TransferError::Hash { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(&world, "d"), ["file"], "no part stays behind");
    let mut right = Upload::bytes(&path, 0o644, b"announced");
    right.content = Content::Reader(Box::new(&b"announced"[..]));
    assert_eq!(
        upload(&*session, Privilege::Root, right).await.unwrap(),
        Uploaded::Written
    );
    assert_eq!(fs::read(&path).unwrap(), b"announced");
}

#[tokio::test]
async fn what_cannot_be_written_or_read_is_told() {
    let world = World::new();
    let (_sshd, session) = one(&world, "").await;
    fs::create_dir(world.path("taken")).unwrap();
    let taken = upload(
        &*session,
        Privilege::Root,
        Upload::bytes(world.name("taken"), 0o644, b"x"),
    )
    .await;
    assert!(matches!(taken, Err(TransferError::Host { .. })), "{taken:?}");
    let mut sink = Vec::new();
    let missing = download(&*session, Privilege::Root, &world.name("absent"), &mut sink).await;
    assert!(matches!(missing, Err(TransferError::Missing(_))), "{missing:?}");
    for path in ["relative", "/", "/etc/", "/etc/..", ""] {
        let wrong = upload(&*session, Privilege::Root, Upload::bytes(path, 0o644, b"x")).await;
        assert!(matches!(wrong, Err(TransferError::Path(_))), "{path}: {wrong:?}");
    }
    // A directory that is there stays as closed as it was.
    let closed = world.path("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let inside = world.name("closed/file");
    upload(&*session, Privilege::Root, Upload::bytes(&inside, 0o644, b"x"))
        .await
        .unwrap();
    assert_eq!(
        fs::metadata(&closed).unwrap().permissions().mode() & 0o7777,
        0o700
    );
    // An empty file is a file.
    let empty = world.name("empty");
    upload(&*session, Privilege::Root, Upload::bytes(&empty, 0o600, b""))
        .await
        .unwrap();
    let read = download(&*session, Privilege::Root, &empty, &mut sink)
        .await
        .unwrap();
    assert_eq!((read.bytes, sink.len()), (0, 0));
}

#[tokio::test]
async fn sudo_is_used_for_every_step_and_its_refusal_is_told() {
    let world = World::new();
    let log = world.name("sudo.log");
    world.script("bin/sudo", &format!("shift; echo \"$1\" >> {log}; exec \"$@\""));
    let extra = format!("SetEnv PATH={}:/usr/bin:/bin", world.name("bin"));
    let (_sshd, session) = one(&world, &extra).await;
    let path = world.name("d/file");
    let user = world.user.clone();
    let mut file = Upload::bytes(&path, 0o600, b"content");
    file.owner = Some(user);
    upload(&*session, Privilege::Sudo, file).await.unwrap();
    let steps = fs::read_to_string(&log).unwrap();
    assert_eq!(
        steps.lines().collect::<Vec<_>>(),
        [
            "sha256sum",
            "test",
            "mkdir",
            "install",
            "dd",
            "sha256sum",
            "chown",
            "chmod",
            "mv",
            "sync"
        ]
    );
    world.script("bin/sudo", "echo 'sudo: a password is required' >&2; exit 1");
    let error = upload(&*session, Privilege::Sudo, Upload::bytes(&path, 0o600, b"new")).await;
    assert!(
        matches!(
            &error,
            Err(TransferError::Sudo {
                why: SudoFault::Password,
                ..
            })
        ),
        "{error:?}"
    );
    assert_eq!(fs::read(&path).unwrap(), b"content");
}
