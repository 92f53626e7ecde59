//! The arguments of what asks registries for images and charts. Their help texts are the CLI reference.

use clap::Args;

/// What registries are asked for.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Images and charts")]
pub struct ImagesArgs {
    /// List of the images and charts that MKE 4k needs, one on a line, as `check images` takes it; a chart begins with oci://.
    /// --image-registry and --chart-registry are asked for them, the plan holds their digests, and `apply` asks again
    #[arg(long, value_name = "FILE", conflicts_with = "images")]
    pub image_list: Option<String>,
    /// What registries answered to a list before, as --record keeps it; nobody is asked
    #[arg(long, value_name = "FILE")]
    pub images: Option<String>,
    /// Passwords.
    #[command(flatten)]
    pub passwords: PasswordArgs,
}

/// Passwords of registries. They are used to look images and charts up, and go to no host.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Images and charts")]
pub struct PasswordArgs {
    /// Password of --image-registry-username, to look images up: no host is given it. Others on this machine can see it here:
    /// better set MKECTL_IMAGE_REGISTRY_PASSWORD, give a file, or be asked
    #[arg(long, value_name = "PASSWORD", hide_env_values = true)]
    pub image_registry_password: Option<String>,
    /// File that holds it on its first line; - for stdin
    #[arg(long, value_name = "FILE", conflicts_with = "image_registry_password")]
    pub image_registry_password_file: Option<String>,
    /// Password of --chart-registry-username, to look charts up: no host is given it. Better: MKECTL_CHART_REGISTRY_PASSWORD,
    /// a file, or being asked
    #[arg(long, value_name = "PASSWORD", hide_env_values = true)]
    pub chart_registry_password: Option<String>,
    /// File that holds it on its first line; - for stdin
    #[arg(long, value_name = "FILE", conflicts_with = "chart_registry_password")]
    pub chart_registry_password_file: Option<String>,
}
