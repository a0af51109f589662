//! What should happen: rules, authorization, schedules and jobs of the Strongroom service.
