//! What a function in Rust has at hand beside the standard library and serde, and what stands around its `handle`.

use std::fmt::{self, Debug, Display};
use std::panic::Location;

use serde_json::Value;

mod host {
    #[link(wasm_import_module = "kiln")]
    extern "C" {
        pub fn fail(text: *const u8, length: usize);
        pub fn log(level: i32, text: *const u8, length: usize);
        pub fn context(into: *mut u8, capacity: usize) -> usize;
    }
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

/// Write a line into the execution's log; so does printing to standard output and standard error.
pub fn log(level: Level, message: impl Display) {
    let text = message.to_string();
    unsafe { host::log(level as i32, text.as_ptr(), text.len()) }
}

/// What is known of this execution: executionId, functionId, version, attempt, correlationId, deadlineMs.
pub fn context() -> Value {
    let mut text = vec![0; unsafe { host::context(std::ptr::null_mut(), 0) }];
    unsafe { host::context(text.as_mut_ptr(), text.len()) };
    serde_json::from_slice(&text).unwrap_or(Value::Null)
}

/// Any error, made by `?`, that knows where it was made: `fn handle(…) -> Result<…, kiln::Error>`.
pub struct Error {
    message: String,
    place: &'static Location<'static>,
}

impl<E: Display> From<E> for Error {
    #[track_caller]
    fn from(error: E) -> Self {
        Error { message: error.to_string(), place: Location::caller() }
    }
}

impl Debug for Error {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&glue::with_place(&self.message, self.place))
    }
}

/// Called by the line that is put below an author's source.
#[doc(hidden)]
pub mod glue {
    use std::alloc::{alloc, handle_alloc_error, Layout};
    use std::any::Any;
    use std::cell::Cell;
    use std::fmt::{Debug, Display};
    use std::io::Write;
    use std::panic::{set_hook, Location};

    use serde::{de::DeserializeOwned, Serialize};

    /// End the execution as failed.
    fn fail(text: &str) -> ! {
        let _ = std::io::stdout().flush();
        unsafe { super::host::fail(text.as_ptr(), text.len()) };
        std::process::abort()
    }

    /// The place as a last line, if it is in the author's source.
    pub(super) fn with_place(message: &str, place: &Location<'_>) -> String {
        match place.file().trim_start_matches("./") {
            "source.rs" => format!("{message}\nsource.rs:{}:{}", place.line(), place.column()),
            _ => message.to_string(),
        }
    }

    fn said(payload: &dyn Any) -> &str {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("panicked")
    }

    /// Let panics end the execution with their message and place.
    pub fn begin() {
        set_hook(Box::new(|panic| {
            let message = said(panic.payload());
            match panic.location() {
                Some(place) => fail(&with_place(message, place)),
                None => fail(message),
            }
        }));
    }

    pub fn room(length: usize) -> *mut u8 {
        match Layout::array::<u8>(length.max(1)) {
            Ok(layout) => {
                let at = unsafe { alloc(layout) };
                if at.is_null() {
                    handle_alloc_error(layout)
                }
                at
            }
            Err(_) => fail("the input is too large"),
        }
    }

    /// # Safety
    /// These bytes are as the runtime has written them.
    pub unsafe fn input<I: DeserializeOwned>(at: *const u8, length: usize) -> I {
        match serde_json::from_slice(std::slice::from_raw_parts(at, length)) {
            Ok(input) => input,
            Err(error) => fail(&format!("the input is not what handle takes: {error}")),
        }
    }

    /// What handle answered. Which of the traits below writes it, the compiler chooses by their order: each is for one
    /// reference less.
    pub struct Output<T>(Cell<Option<T>>);

    impl<T> Output<T> {
        pub fn new(output: T) -> Self {
            Output(Cell::new(Some(output)))
        }

        fn take(&self) -> T {
            self.0.take().expect("an output is written once")
        }
    }

    pub trait Displayed {
        fn written(&self) -> u64;
    }

    impl<T: Serialize, E: Display> Displayed for &&Output<Result<T, E>> {
        fn written(&self) -> u64 {
            self.take().map_or_else(|error| fail(&error.to_string()), |value| written(&value))
        }
    }

    pub trait Debugged {
        fn written(&self) -> u64;
    }

    impl<T: Serialize, E: Debug> Debugged for &Output<Result<T, E>> {
        fn written(&self) -> u64 {
            self.take().map_or_else(|error| fail(&format!("{error:?}")), |value| written(&value))
        }
    }

    pub trait Plain {
        fn written(&self) -> u64;
    }

    impl<T: Serialize> Plain for Output<T> {
        fn written(&self) -> u64 {
            written(&self.take())
        }
    }

    fn written(value: &impl Serialize) -> u64 {
        let text = match serde_json::to_vec(value) {
            Ok(text) => text,
            Err(error) => fail(&format!("what handle answered cannot be written as JSON: {error}")),
        };
        let _ = std::io::stdout().flush();
        let text = text.leak();
        (text.as_ptr() as u64) << 32 | text.len() as u64
    }
}

/// The module's exports, around the author's handle.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($handle:path) => {
        const _: () = {
            #[export_name = "alloc"]
            extern "C" fn room(length: usize) -> *mut u8 {
                ::kiln::glue::room(length)
            }
            #[export_name = "handle"]
            extern "C" fn enter(input: *const u8, length: usize) -> u64 {
                #[allow(unused_imports)]
                use ::kiln::glue::{Debugged, Displayed, Plain};
                ::kiln::glue::begin();
                let input = unsafe { ::kiln::glue::input(input, length) };
                (&&&::kiln::glue::Output::new($handle(input))).written()
            }
        };
    };
}
