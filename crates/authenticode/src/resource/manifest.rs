//! A manifest for a program that has none (Win32, "Application Manifests").

/// With which rights a program starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Level {
    /// Those of whoever starts it.
    #[default]
    AsInvoker,
    /// The highest that they have.
    Highest,
    /// Those of an administrator, or not at all.
    Administrator,
}

impl Level {
    /// As the manifest has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::AsInvoker => "asInvoker",
            Self::Highest => "highestAvailable",
            Self::Administrator => "requireAdministrator",
        }
    }
}

/// Windows 7, 8, 8.1, and 10 with all that came after.
const SUPPORTED: &[&str] = &[
    "{35138b9a-5d96-4fbd-8e2d-a2440225f93a}",
    "{4a2f28e3-53b9-4441-ba9c-d69d4a4a6e38}",
    "{1f676c76-80e1-4239-95bb-83d0f6d0da78}",
    "{8e0f7a12-bfb3-4fe8-b9a5-48fd50a15a9a}",
];

/// What suits a service or a command-line program: it starts with the rights of its caller, sees the true version of
/// Windows, and may use long paths. Without a manifest Windows guesses, and shows old programs an older Windows.
#[must_use]
pub fn default(level: Level) -> String {
    let supported: String =
        SUPPORTED.iter().map(|id| format!("      <supportedOS Id=\"{id}\"/>\r\n")).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\r\n\
         <assembly xmlns=\"urn:schemas-microsoft-com:asm.v1\" manifestVersion=\"1.0\">\r\n\
         \x20 <trustInfo xmlns=\"urn:schemas-microsoft-com:asm.v3\">\r\n\
         \x20   <security>\r\n\
         \x20     <requestedPrivileges>\r\n\
         \x20       <requestedExecutionLevel level=\"{}\" uiAccess=\"false\"/>\r\n\
         \x20     </requestedPrivileges>\r\n\
         \x20   </security>\r\n\
         \x20 </trustInfo>\r\n\
         \x20 <compatibility xmlns=\"urn:schemas-microsoft-com:compatibility.v1\">\r\n\
         \x20   <application>\r\n\
         {supported}\
         \x20   </application>\r\n\
         \x20 </compatibility>\r\n\
         \x20 <application xmlns=\"urn:schemas-microsoft-com:asm.v3\">\r\n\
         \x20   <windowsSettings>\r\n\
         \x20     <longPathAware xmlns=\"http://schemas.microsoft.com/SMI/2016/WindowsSettings\">true</longPathAware>\r\n\
         \x20   </windowsSettings>\r\n\
         \x20 </application>\r\n\
         </assembly>\r\n",
        level.word()
    )
}
