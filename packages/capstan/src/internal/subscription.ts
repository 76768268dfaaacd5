/**
 * Which jobs a topic is published to, and of which it cancels records or completes waitpoints: those whose declarations this
 * process has loaded.
 */
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { Definition, Listening } from "./definition.ts"
import type { Request } from "./request.ts"

export interface Subscriber {
  readonly job: Definition
  readonly where: ((event: never) => boolean) | undefined
  readonly request: (event: never) => Request
}

/** What an event has to say for a record to be cancelled, or to go on; nothing for an event that is about none. */
type KeyOf = (event: never) => string | undefined

export interface Subscriptions {
  readonly topic: string
  readonly byTag: Map<string, Subscriber>
  /** The cancellations of each job. */
  readonly cancelled: Map<string, ReadonlyArray<KeyOf>>
  /** The waitpoints of each job that it completes. */
  readonly completed: Map<string, ReadonlyArray<Completion>>
}

/** A job's wish to be enqueued at an event, as its declaration has it. */
export interface Subscription {
  readonly subscriptions: Subscriptions
  readonly where: ((event: never) => boolean) | undefined
  readonly request: (job: Definition, event: never) => Request
}

/** What the events of a topic say. */
export interface Match {
  readonly subscriptions: Subscriptions
  readonly key: KeyOf
}

/** What the events of a topic say, and what each completes a waitpoint with, as it is kept. */
export interface Completion extends Match {
  readonly waitpoint: string
  readonly signal: (event: never) => Effect.Effect<string, Schema.SchemaError>
}

export const subscribe = (job: Definition, subscription: Subscription): void => {
  const { request, subscriptions, where } = subscription
  subscriptions.byTag.set(job.tag, { job, where, request: (event) => request(job, event) })
}

/** Lets events cancel records of a job that say the same, or complete waitpoints of them. */
export const listen = (
  job: Definition,
  matches: ReadonlyArray<Match>,
  completions: ReadonlyArray<Completion>
): void => {
  for (const [topic, its] of byTopic(matches)) topic.cancelled.set(job.tag, its.map(({ key }) => key))
  for (const [topic, its] of byTopic(completions)) topic.completed.set(job.tag, its)
}

const byTopic = <M extends Match>(matches: ReadonlyArray<M>): Map<Subscriptions, Array<M>> => {
  const topics = new Map<Subscriptions, Array<M>>()
  for (const match of matches) {
    const its = topics.get(match.subscriptions)
    if (its === undefined) topics.set(match.subscriptions, [match])
    else its.push(match)
  }
  return topics
}

/**
 * What an event is called for the records of a job that it does something to: topics, jobs and waitpoints have neither a space
 * nor a `!` in their names.
 */
export const nameOf = ({ topic, waitpoint }: Omit<Listening, "key">, tag: string, key: string): string =>
  `${topic} ${waitpoint === undefined ? tag : `${tag}!${waitpoint}`} ${key}`
