//! Where a case can stand, and the one table of what leads from where to where.

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::returns::Finding;

/// Where a case stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Opened; nothing decided yet.
    New,
    /// The customer was asked for something.
    AwaitingInfo,
    /// A person has to decide; letters of the case are no longer answered by the program.
    WithStaff,
    /// A danger was reported; nothing moves before a person has looked.
    SafetyHold,
    /// A return is authorised.
    RmaIssued,
    /// The parcel is under way to us.
    InTransit,
    /// The parcel is here.
    Received,
    /// Looked at; what the customer gets is to be done.
    Inspected,
    /// Looked at, and nothing is wrong with it: a person decides what follows.
    NoFaultFound,
    Repaired,
    Replaced,
    Refunded,
    /// A person has refused.
    Rejected,
    /// Under way back to the customer.
    ShippedBack,
    /// The RMA was not used in time.
    Expired,
    /// The customer no longer wants it.
    Withdrawn,
    Closed,
    /// Another case goes on with it.
    Merged,
}

impl State {
    pub const ALL: [Self; 18] = [
        Self::New,
        Self::AwaitingInfo,
        Self::WithStaff,
        Self::SafetyHold,
        Self::RmaIssued,
        Self::InTransit,
        Self::Received,
        Self::Inspected,
        Self::NoFaultFound,
        Self::Repaired,
        Self::Replaced,
        Self::Refunded,
        Self::Rejected,
        Self::ShippedBack,
        Self::Expired,
        Self::Withdrawn,
        Self::Closed,
        Self::Merged,
    ];

    /// Whether nothing more is to come, unless somebody writes or a parcel arrives.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Expired | Self::Withdrawn | Self::Closed | Self::Merged)
    }

    /// Whether the item lies with us and somebody has to go on with it.
    pub fn is_in_house(self) -> bool {
        matches!(self, Self::Received | Self::Inspected | Self::NoFaultFound | Self::Repaired | Self::Replaced)
    }

    /// Whether a person has to do the next thing.
    pub fn is_staffs_turn(self) -> bool {
        self.is_in_house() || matches!(self, Self::WithStaff | Self::SafetyHold)
    }

    /// The one table of state changes: where `event` leads from here; `None` if it is not legal. `by_staff`: a person
    /// does it.
    pub(super) fn after(self, event: &Event, by_staff: bool) -> Option<Self> {
        use State::*;
        Some(match (self, event) {
            (_, Event::Opened { .. }) => return None,
            (_, Event::Split { .. }) if !by_staff => return None,
            (
                Merged,
                Event::LetterNoted { .. }
                | Event::Noted { .. }
                | Event::DraftDropped { .. }
                | Event::ReplySent { .. }
                | Event::ReplyRefused { .. }
                | Event::Scheduled { .. }
                | Event::Erased,
            ) => Merged,
            (Merged, _) => return None,
            (New | AwaitingInfo, Event::DraftDropped { .. }) if by_staff => WithStaff,
            (
                state,
                Event::LetterTaken { .. }
                | Event::LetterNoted { .. }
                | Event::Completed { .. }
                | Event::Decided { .. }
                | Event::OrderNotFound { .. }
                | Event::Chosen { .. }
                | Event::ReceiptTaken { .. }
                | Event::Reimbursed { .. }
                | Event::Split { .. }
                | Event::SplitOff { .. }
                | Event::Handled
                | Event::Corrected { .. }
                | Event::Assigned { .. }
                | Event::Snoozed { .. }
                | Event::Noted { .. }
                | Event::Reminded { .. }
                | Event::Scheduled { .. }
                | Event::ReplyQueued { .. }
                | Event::DraftWritten { .. }
                | Event::DraftReleased { .. }
                | Event::DraftDropped { .. }
                | Event::ReplySent { .. },
            ) => state,
            (state, Event::Erased) if state.is_final() => state,
            (New | AwaitingInfo, Event::ReplyRefused { .. }) => WithStaff,
            (state, Event::ReplyRefused { .. }) => state,
            (New | AwaitingInfo, Event::Asked { .. }) => AwaitingInfo,
            (WithStaff | SafetyHold, Event::Asked { .. }) if by_staff => AwaitingInfo,
            (New | AwaitingInfo | WithStaff, Event::HandedToStaff) => WithStaff,
            (SafetyHold, Event::HandedToStaff) if by_staff => WithStaff,
            // What is under way goes on; a person looks at it as it is.
            (state, Event::HandedToStaff) if !state.is_final() => state,
            (New | AwaitingInfo | WithStaff | SafetyHold | RmaIssued | InTransit, Event::SafetyHeld) => SafetyHold,
            (state, Event::SafetyHeld) if !state.is_final() => state,
            (New | AwaitingInfo, Event::RmaIssued { .. }) => RmaIssued,
            (WithStaff, Event::RmaIssued { .. }) if by_staff => RmaIssued,
            (RmaIssued | Expired | WithStaff, Event::RmaExtended { .. }) if by_staff => RmaIssued,
            (RmaIssued | Expired, Event::Posted { .. }) => InTransit,
            // A parcel comes when it comes, whatever was thought of the case.
            (state, Event::Arrived { .. }) if by_staff && !state.is_in_house() => Received,
            (Received | Inspected | NoFaultFound, Event::Inspected { finding: Finding::NoFaultFound }) if by_staff => {
                NoFaultFound
            }
            (Received | Inspected | NoFaultFound, Event::Inspected { .. }) if by_staff => Inspected,
            (Inspected | NoFaultFound, Event::Repaired) if by_staff => Repaired,
            (Inspected | NoFaultFound, Event::Replaced) if by_staff => Replaced,
            (Inspected | NoFaultFound | Replaced, Event::Refunded { .. }) if by_staff => Refunded,
            (WithStaff | AwaitingInfo | Inspected | NoFaultFound, Event::Rejected) if by_staff => Rejected,
            (Inspected | NoFaultFound | Repaired | Replaced | Rejected, Event::ShippedBack { .. }) if by_staff => {
                ShippedBack
            }
            (New | AwaitingInfo | WithStaff | SafetyHold | RmaIssued, Event::Withdrawn) => Withdrawn,
            (RmaIssued, Event::Expired) => Expired,
            (state, Event::Closed) if state != Closed => Closed,
            (state, Event::Merged { .. }) if by_staff && state != Closed => Merged,
            _ => return None,
        })
    }
}
