//! What this processor can do: asked at run time with the `std` feature, known from the build without it.

/// Whether the processor, and the system's handling of its registers, allow each of the features.
macro_rules! detected {
    ($($feature:tt),*) => {{
        #[cfg(any(test, feature = "std"))]
        let found = $(std::is_x86_feature_detected!($feature))&&*;
        #[cfg(not(any(test, feature = "std")))]
        let found = $(cfg!(target_feature = $feature))&&*;
        found
    }};
}

pub(crate) use detected;
