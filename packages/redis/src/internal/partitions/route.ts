/** What is said of a record, or of what it waits for, that lies in another partition than the one that is told. */
import { JobError, type JobStore } from "capstan"

/** The number of the other partition. */
export const to: unique symbol = Symbol("capstan/redis/to")

/** Marks an exchange that must not give out a record that has crashed a worker: another partition may. */
export const spared: unique symbol = Symbol("capstan/redis/spared")

export type Routed = JobStore.NewRecord & { readonly [to]?: number }

/** How many partitions each queue has, for an end that closes its queue. */
export const among: unique symbol = Symbol("capstan/redis/among")

export type RoutedSnooze = JobStore.Outcome & { readonly [among]?: Readonly<Record<string, number>> }

/** How many partitions there are, for a batch that cancels what lies in any of them. */
export const everywhere: unique symbol = Symbol("capstan/redis/everywhere")

export type RoutedEnqueue = JobStore.EnqueueRequest & { readonly [everywhere]?: number }

export type RoutedDependency = JobStore.Dependency & { readonly [to]?: number }

/** A record in `its` partition, as the one `at` which it is stored is told of it. */
export const routed = (record: JobStore.NewRecord, its: number, at: number): Routed =>
  its === at ? record : { ...record, [to]: its }

/** Names where those of its dependencies lie that are not in its own partition. */
export const withDependencies = (
  record: JobStore.NewRecord,
  its: number,
  placeOf: (id: JobStore.NewRecord["id"]) => number | undefined
): JobStore.NewRecord =>
  record.dependencies === undefined ? record : {
    ...record,
    dependencies: record.dependencies.map((one): RoutedDependency => {
      const place = placeOf(one.id)
      return place === undefined || place === its ? one : { ...one, [to]: place }
    })
  }

/** Some of its dependencies lie elsewhere. */
export const crosses = ({ dependencies }: JobStore.NewRecord): boolean =>
  dependencies !== undefined && dependencies.some((one: RoutedDependency) => one[to] !== undefined)

export const crossing = ({ queue, tag }: JobStore.NewRecord, issue: string): JobError.CrossPartition =>
  new JobError.CrossPartition({ job: tag, queue, issue })
