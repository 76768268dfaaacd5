/**
 * The errors of the API, as bodies with a `_tag`. Every one says what was wrong and what to do.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The request does not say what it must, or says it wrongly. Correct it.
 *
 * @category errors
 * @since 0.1.0
 */
export class BadRequest extends Schema.TaggedError<BadRequest>()(
  "BadRequest",
  {
    detail: Schema.String,
    /** What is wrong with a payload, and where: a JSON pointer, empty for the whole. At most a hundred. */
    issues: Schema.optionalKey(Schema.Array(Schema.Struct({ pointer: Schema.String, message: Schema.String }))),
    /** How many more there are; absent where that is all. */
    moreIssues: Schema.optionalKey(Schema.Int)
  },
  { httpApiStatus: 400 }
) {
  override get message() {
    return this.detail
  }
}

/**
 * The body of the request is longer than any request of the API needs to be: it was not read to its end, and nothing was
 * changed. Name less in one request.
 *
 * @category errors
 * @since 0.1.0
 */
export class BodyTooLarge extends Schema.TaggedError<BodyTooLarge>()(
  "BodyTooLarge",
  {
    detail: Schema.String,
    /** How many bytes a body may have. */
    limit: Schema.Int
  },
  { httpApiStatus: 413 }
) {
  override get message() {
    return this.detail
  }
}

/**
 * Nobody knows who asks. Sign in, or send credentials.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unauthorized extends Schema.TaggedError<Unauthorized>()(
  "Unauthorized",
  { detail: Schema.String },
  { httpApiStatus: 401 }
) {
  override get message() {
    return this.detail
  }
}

/**
 * The caller may not do this. `reason` says which rule:
 *
 * - `NotAllowed`: the principal may not take this action, or not on these queues
 * - `CrossOrigin`: the change does not come from the page's own origin
 * - `HeaderMissing`: the change has no `x-capstan-request` header
 * - `NotLoopback`: there is no authorisation, so only this machine may ask
 *
 * @category errors
 * @since 0.1.0
 */
export class Forbidden extends Schema.TaggedError<Forbidden>()(
  "Forbidden",
  {
    reason: Schema.Literals(["NotAllowed", "CrossOrigin", "HeaderMissing", "NotLoopback"]),
    detail: Schema.String
  },
  { httpApiStatus: 403 }
) {
  override get message() {
    return this.detail
  }
}

/**
 * No record has this id, or the caller may not see it.
 *
 * @category errors
 * @since 0.1.0
 */
export class RecordNotFound extends Schema.TaggedError<RecordNotFound>()(
  "RecordNotFound",
  { id: Schema.String },
  { httpApiStatus: 404 }
) {
  override get message() {
    return `there is no record ${this.id}`
  }
}

/**
 * No schedule has this name, or the caller may not see it.
 *
 * @category errors
 * @since 0.1.0
 */
export class ScheduleNotFound extends Schema.TaggedError<ScheduleNotFound>()(
  "ScheduleNotFound",
  { name: Schema.String },
  { httpApiStatus: 404 }
) {
  override get message() {
    return `there is no schedule ${this.name}`
  }
}

/**
 * The API has no such route.
 *
 * @category errors
 * @since 0.1.0
 */
export class RouteNotFound extends Schema.TaggedError<RouteNotFound>()(
  "RouteNotFound",
  { method: Schema.String, path: Schema.String },
  { httpApiStatus: 404 }
) {
  override get message() {
    return `there is no route ${this.method} ${this.path}`
  }
}

/**
 * So many others have many records read for one answer, to be counted or looked into, that this one would wait for long:
 * nothing was changed. Ask again after the seconds of the header `Retry-After`.
 *
 * @category errors
 * @since 0.1.0
 */
export class TooBusy extends Schema.TaggedError<TooBusy>()(
  "TooBusy",
  { detail: Schema.String },
  { httpApiStatus: 429 }
) {
  override get message() {
    return this.detail
  }
}

/**
 * The store did not do it. `reason` is that of `JobStoreError`: with `OutcomeUnknown` it may have happened. Ask again;
 * but a run of a schedule, and an enqueue without `idempotencyKey`, would then happen twice.
 *
 * @category errors
 * @since 0.1.0
 */
export class StoreFailed extends Schema.TaggedError<StoreFailed>()(
  "StoreFailed",
  { reason: Schema.String, detail: Schema.String },
  { httpApiStatus: 503 }
) {
  override get message() {
    return this.detail
  }
}
