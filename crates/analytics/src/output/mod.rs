//! The forms of a report: a table for people, CSV for spreadsheets, HTML to send on. JSON is the report itself.

pub mod charts;
pub mod csv;
pub mod document;
pub mod html;
pub mod rightsize;
pub mod table;
