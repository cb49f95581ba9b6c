use super::*;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::PathBuf;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("cove-test-remove-{}-{}", name, std::process::id()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn removes_what_is_there_and_minds_not_what_is_not() {
    let folder = Folder::new("plain");
    fs::create_dir_all(folder.path("a/b/c")).unwrap();
    fs::write(folder.path("a/b/file"), "x").unwrap();
    fs::set_permissions(folder.path("a/b"), fs::Permissions::from_mode(0)).unwrap();
    for _ in 0..2 {
        assert!(matches!(remove(&folder.path("a"), u64::MAX), Ok(Removed::All)));
        assert!(!Path::new(&folder.path("a")).exists());
    }
    assert!(matches!(remove(&folder.path("no/such"), u64::MAX), Ok(Removed::All)));
    fs::write(folder.path("file"), "x").unwrap();
    assert!(matches!(remove(&folder.path("file"), 1), Ok(Removed::All)));
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
}

#[test]
fn never_follows_links() {
    let folder = Folder::new("links");
    fs::create_dir_all(folder.path("outside")).unwrap();
    fs::write(folder.path("outside/precious"), "x").unwrap();
    fs::create_dir(folder.path("a")).unwrap();
    symlink(folder.path("outside"), folder.path("a/link")).unwrap();
    symlink(folder.path("outside"), folder.path("top")).unwrap();
    assert!(matches!(remove(&folder.path("a"), u64::MAX), Ok(Removed::All)));
    assert!(matches!(remove(&folder.path("top"), u64::MAX), Ok(Removed::All)));
    assert_eq!(fs::read(folder.path("outside/precious")).unwrap(), b"x");
}

#[test]
fn depth_costs_neither_stack_nor_descriptors() {
    let folder = Folder::new("deep");
    let mut path = PathBuf::from(folder.path("a"));
    fs::create_dir(&path).unwrap();
    for _ in 0..1500 {
        path.push("d");
        fs::create_dir(&path).unwrap();
    }
    fs::write(path.join("file"), "x").unwrap();
    let inner = folder.path("outer");
    fs::create_dir(&inner).unwrap();
    fs::rename(folder.path("a"), format!("{}/a", inner)).unwrap();
    assert!(matches!(remove(&inner, u64::MAX), Ok(Removed::All)));
    assert!(!Path::new(&inner).exists());
}

#[test]
fn leaves_the_rest_when_the_budget_is_used_up() {
    let folder = Folder::new("budget");
    fs::create_dir(folder.path("a")).unwrap();
    for index in 0..50 {
        fs::write(folder.path(&format!("a/{}", index)), "").unwrap();
    }
    assert!(matches!(remove(&folder.path("a"), 20), Ok(Removed::TooMuch)));
    let left = fs::read_dir(folder.path("a")).unwrap().count();
    assert!(left > 0 && left < 50, "{} left", left);
    assert!(matches!(remove(&folder.path("a"), 100), Ok(Removed::All)));
}

#[test]
fn leaves_large_files_to_a_helper() {
    let folder = Folder::new("large");
    fs::create_dir(folder.path("a")).unwrap();
    fs::write(folder.path("a/file"), vec![1; 5 << 20]).unwrap();
    assert!(matches!(remove(&folder.path("a"), 100), Ok(Removed::TooMuch)));
    assert!(matches!(remove(&folder.path("a"), u64::MAX), Ok(Removed::All)));
    assert!(!Path::new(&folder.path("a")).exists());
}
