//! Stories of the crate, one binary.

mod cloudevents;
mod event_files;
mod event_flaws;
mod event_kit;
mod file_channel;
mod folder;
mod layout_files;
mod layout_flaws;
mod layout_fuzz;
mod layout_kit;
mod layout_spec;
mod smpp;
mod smpp_desk;
mod smpp_province;
mod smpp_rough;
