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
  readonly cancelled: Map<string, ReadonlyArray<Numbered<Match>>>
  /** The waitpoints of each job that it completes. */
  readonly completed: Map<string, ReadonlyArray<Numbered<Completion>>>
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

/** A job's match, and how many of the same topic, for the same waitpoint, its declaration has before it. */
export type Numbered<M> = M & { readonly nth: number }

export const numbered = <M extends Match & { readonly waitpoint?: string }>(
  matches: ReadonlyArray<M>
): ReadonlyArray<Numbered<M>> =>
  matches.map((match, i) => {
    const isAlike = ({ subscriptions, waitpoint }: M) =>
      subscriptions === match.subscriptions && waitpoint === match.waitpoint
    return { ...match, nth: matches.slice(0, i).filter(isAlike).length }
  })

/** Lets events enqueue records of a job. Each topic one: a second one would take the place of the first. */
export const subscribe = (job: Definition, all: ReadonlyArray<Subscription>): void => {
  const topics = new Set<Subscriptions>()
  for (const { request, subscriptions, where } of all) {
    if (topics.has(subscriptions)) {
      throw new Error(
        `job ${job.tag}, option on: subscribes to topic ${subscriptions.topic} twice. Let one subscription make the payload of ` +
          `either event, or another job have the other one`
      )
    }
    topics.add(subscriptions)
    subscriptions.byTag.set(job.tag, { job, where, request: (event) => request(job, event) })
  }
}

/** Lets events cancel records of a job that say the same, or complete waitpoints of them. */
export const listen = (
  job: Definition,
  matches: ReadonlyArray<Numbered<Match>>,
  completions: ReadonlyArray<Numbered<Completion>>
): void => {
  for (const [topic, its] of byTopic(matches)) topic.cancelled.set(job.tag, its)
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
 * nor a `!` or `#` in their names. Matches of one topic differ, for one may say an order's number and another a customer's.
 */
export const nameOf = ({ nth, topic, waitpoint }: Omit<Listening, "key">, tag: string, key: string): string =>
  `${topic} ${waitpoint === undefined ? tag : `${tag}!${waitpoint}`}${nth === 0 ? "" : `#${nth}`} ${key}`
