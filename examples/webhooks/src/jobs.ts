/**
 * What becomes of a webhook: five jobs, by what the event is about.
 */
import { Job, JobGroup } from "capstan"
import { Schedule, Schema } from "effect"

/** What the handlers need of a delivery; the rest of the payload stays where it came from. */
export const Delivery = Schema.Struct({
  delivery: Schema.String,
  event: Schema.String,
  action: Schema.optionalKey(Schema.String),
  repository: Schema.optionalKey(Schema.String),
  actor: Schema.optionalKey(Schema.String),
  /** The number or the name of what it is about. */
  subject: Schema.optionalKey(Schema.String)
})

/** 5xx: it may work in a moment. */
export class ServiceDown extends Schema.TaggedError<ServiceDown>()("ServiceDown", { status: Schema.Int }) {
  override get message() {
    return `the service answered ${this.status}`
  }
}

/** No answer in time. It may have happened, or not. */
export class NoAnswer extends Schema.TaggedError<NoAnswer>()("NoAnswer", { millis: Schema.Int }) {
  override get message() {
    return `the service did not answer within ${this.millis} ms`
  }
}

/** 429: it says when to come back. */
export class RateLimited extends Schema.TaggedError<RateLimited>()("RateLimited", { seconds: Schema.Number }) {
  override get message() {
    return `the service asks to wait for ${this.seconds} s`
  }
}

/** 422: it will never take this. */
export class Rejected extends Schema.TaggedError<Rejected>()("Rejected", { why: Schema.String }) {
  override get message() {
    return `the service rejected it: ${this.why}`
  }
}

const policies = {
  payload: Delivery,
  error: Schema.Union([ServiceDown, NoAnswer, RateLimited, Rejected]),
  retry: Schedule.jittered(Schedule.exponential("100 millis")),
  onError: {
    Rejected: "dead",
    RateLimited: { snooze: (error: RateLimited) => `${error.seconds} seconds` as const }
  }
} as const

export class TriageIssue extends Job.make("TriageIssue", { ...policies, queue: "issues" }) {}
export class ReviewPullRequest
  extends Job.make("ReviewPullRequest", { ...policies, queue: "reviews", priority: "high" })
{}
export class TrackCode extends Job.make("TrackCode", { ...policies, queue: "code" }) {}
export class WatchBuild extends Job.make("WatchBuild", { ...policies, queue: "builds" }) {}
export class RecordChange extends Job.make("RecordChange", { ...policies, queue: "changes", priority: "low" }) {}

export class Webhooks extends JobGroup.make(TriageIssue, ReviewPullRequest, TrackCode, WatchBuild, RecordChange) {}

/** The job for an event, by GitHub's name of it. */
export const jobFor = (event: string) => {
  if (/^(issue|discussion|label|milestone)/.test(event)) return TriageIssue
  if (event.startsWith("pull_request")) return ReviewPullRequest
  if (/^(push|create|delete|commit_comment|release|fork)$/.test(event)) return TrackCode
  if (/^(check_|workflow_|deployment|status)/.test(event)) return WatchBuild
  return RecordChange
}
