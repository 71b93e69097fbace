//! The API's answers as types, for clients: the command line reads what handlers write, so a renamed field does not compile.

pub(crate) use crate::api::dead_letters::view::{
    HeaderView, LetterAlone, LetterList, LetterView, RedriveAnswer, RedriveResult,
};
pub(crate) use crate::api::functions::view::{DeployedView, FunctionList, FunctionView};
pub(crate) use crate::api::invoke::view::{Emission, Invocation};
pub(crate) use crate::api::logs::LineView;
pub(crate) use crate::api::problem::ProblemView;
pub(crate) use crate::api::replay::view::{EventView, ReplayLine, SideView, TallyView};
pub(crate) use crate::api::reset::{MoveView, ResetView};
pub(crate) use crate::api::revisions::{RevisionList, RevisionView};
pub(crate) use crate::api::shadow::view::{ShadowDeployed, ShadowDifference, ShadowView};
pub(crate) use crate::api::topics::WrittenEvent;
pub(crate) use crate::api::usage::{FunctionUsage, UsageView};
