/**
 * Which jobs a topic is published to, and of which it cancels records: those whose declarations this process has loaded.
 */
import type { Definition } from "./definition.ts"
import type { Request } from "./request.ts"

export interface Subscriber {
  readonly job: Definition
  readonly where: ((event: never) => boolean) | undefined
  readonly request: (event: never) => Request
}

/** What an event has to say for a record to be cancelled; nothing for an event that cancels none. */
type KeyOf = (event: never) => string | undefined

export interface Subscriptions {
  readonly topic: string
  readonly byTag: Map<string, Subscriber>
  /** The cancellations of each job. */
  readonly cancelled: Map<string, ReadonlyArray<KeyOf>>
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

export const subscribe = (job: Definition, subscription: Subscription): void => {
  const { request, subscriptions, where } = subscription
  subscriptions.byTag.set(job.tag, { job, where, request: (event) => request(job, event) })
}

/** Lets events cancel records of a job that say the same. */
export const listen = (job: Definition, matches: ReadonlyArray<Match>): void => {
  for (const topic of new Set(matches.map(({ subscriptions }) => subscriptions))) {
    topic.cancelled.set(job.tag, matches.flatMap(({ key, subscriptions }) => subscriptions === topic ? [key] : []))
  }
}

/** What an event is called for the records of a job that it cancels: topics and jobs have no space in their names. */
export const nameOf = (topic: string, tag: string, key: string): string => `${topic} ${tag} ${key}`
