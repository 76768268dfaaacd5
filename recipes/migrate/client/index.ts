/** The queues that are left, as a program imports them. Apart from the recipes: they are in no package of the repository. */
export { FlowProducer, Queue, Worker } from "bullmq"
export { makeWorkerUtils, run, runMigrations } from "graphile-worker"
export { default as cron } from "node-cron"
export { PgBoss } from "pg-boss"
