//! L3: from a lane's records to the guest's verdicts.
