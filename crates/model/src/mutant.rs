//! Bugs planted on purpose, by name, for the simulation to find. They exist only where the compiler was given
//! `--cfg kairos_mutant`; everywhere else [`crate::mutant!`] is the constant `false` and the names are in no binary.

/// Whether the bug of this name is planted in this thread.
#[cfg(kairos_mutant)]
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {
        $crate::mutant::is($name)
    };
}

/// Whether the bug of this name is planted: it never is in this build.
#[cfg(not(kairos_mutant))]
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {
        false
    };
}

#[cfg(kairos_mutant)]
std::thread_local! {
    static PLANTED: std::cell::Cell<&'static str> = const { std::cell::Cell::new("") };
}

/// Plants one bug in this thread; `""` takes it out again.
#[cfg(kairos_mutant)]
pub fn plant(name: &'static str) {
    PLANTED.set(name);
}

#[cfg(kairos_mutant)]
pub fn is(name: &str) -> bool {
    PLANTED.get() == name
}
