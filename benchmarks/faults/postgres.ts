/** What the runner looks with: a connection for each question, since the server may have been crashed a moment ago. */
import { Client, type QueryResultRow } from "pg"

/** Neither the faults nor the systems see it. */
const applicationName = "chaos-operator"

export const connection =
  (url: string) => async <Row extends QueryResultRow>(text: string): Promise<ReadonlyArray<Row>> => {
    const client = new Client({ connectionString: url, application_name: applicationName })
    await client.connect()
    try {
      const { rows } = await client.query<Row>(text)
      return rows
    } finally {
      await client.end()
    }
  }
