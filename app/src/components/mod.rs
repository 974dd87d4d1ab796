//! The parts that screens are made of. A part knows how something looks and behaves, never where its data comes from.

pub mod attempt;
pub mod attempt_diff;
pub mod bulk;
pub mod charts;
pub mod check;
pub mod copy;
pub mod delivery_table;
pub mod field;
pub mod filters;
pub mod frame;
pub mod heading;
pub mod icon;
pub mod loaded;
pub mod overlays;
pub mod pager;
pub mod palette;
pub mod problem;
pub mod retry_fields;
pub mod saved_views;
pub mod shortcuts;
pub mod status;
pub mod toast;
