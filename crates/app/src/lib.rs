//! Use cases: import, tags, campaign lifecycle, waves, evaluation; builds the Gate and the Facts
