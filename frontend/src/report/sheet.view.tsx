/** The page: bars on top, indicators of a unit, league and live feed at the right; panes on a phone. */
import { ChevronLeft, ChevronRight, Download } from "lucide";
import { createSignal, For, Match, onCleanup, onMount, Show, Switch } from "solid-js";
import { download } from "../analyst/download";
import { Failure, request } from "../api/client";
import { reportAddresses } from "../api/report";
import { Bar } from "../command/bar.view";
import { useFrame } from "../command/frame";
import { Icon } from "../command/icon";
import { StaleStrip } from "../command/stale.view";
import { Empty, Failed, Skeleton } from "../command/states.view";
import { CardPane } from "./card.view";
import { FeedPane } from "./feed.view";
import { LeaguePane } from "./league.view";
import { useReport } from "./model";
import { calendarName } from "./numbers";
import { PANES } from "./state";

export function Sheet(props: { lost: boolean }) {
  const report = useReport();
  const { words } = useFrame();
  const { state } = report.view;
  let main: HTMLElement | undefined;
  onMount(() => {
    const typed = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (
        event.ctrlKey ||
        event.metaKey ||
        event.altKey ||
        target.closest("input, select, textarea")
      )
        return;
      const keys: Record<string, () => void> = {
        "[": () => report.goTo(report.ord() - 1),
        "]": () => report.goTo(report.ord() + 1),
        d: () => report.setBy("day"),
        m: () => report.setBy("month"),
        y: () => report.setBy("year"),
        Backspace: () => report.unit() && up(),
      };
      const act = keys[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    };
    addEventListener("keydown", typed);
    onCleanup(() => removeEventListener("keydown", typed));
  });
  const up = () => {
    const chain = crumbs();
    report.drill(chain[chain.length - 2]?.code ?? "");
  };
  /** From the coarsest unit down; the single top one is the page without a scope. */
  const crumbs = () => {
    const one = report.unit();
    const single = report.frame.map().levels[0]?.count === 1;
    if (!one) return [{ code: "", name: report.cardName() }];
    const chain = [...one.ancestors, one].map((unit, index) => ({
      code: index === 0 && single ? "" : unit.code,
      name: report.frame.nameOf(unit),
    }));
    return single
      ? chain
      : [{ code: "", name: report.frame.title(report.frame.map().title) }, ...chain];
  };
  return (
    <div class="desk report" data-pane={state.pane}>
      <button type="button" class="skip" onClick={() => main?.focus()}>
        {report.say().skip}
      </button>
      <Bar current="report">
        <nav class="crumbs" aria-label={words().crumbs}>
          <For each={crumbs()}>
            {(crumb, index) => (
              <>
                <Show when={index() > 0}>
                  <Icon node={ChevronRight} />
                </Show>
                <Show
                  when={index() < crumbs().length - 1}
                  fallback={
                    <span class="crumb" aria-current="true">
                      {crumb.name}
                    </span>
                  }
                >
                  <button type="button" class="crumb" onClick={() => report.drill(crumb.code)}>
                    {crumb.name}
                  </button>
                </Show>
              </>
            )}
          </For>
        </nav>
      </Bar>
      <Controls />
      <main class="report-main" tabindex="-1" ref={main}>
        <StaleStrip lost={props.lost} />
        <FeedsStopped />
        <Body />
      </main>
    </div>
  );
}

/** What stands in the page: nothing yet, no report, a fault, or the three panes. */
function Body() {
  const report = useReport();
  const { words } = useFrame();
  const nothing = () => report.scenes.fresh() && report.sceneName() === "";
  const strange = () => report.view.state.scope !== "" && report.unitAnswer.failure();
  return (
    <Switch fallback={<Skeleton rows={report.scenes.slow() || report.detail.slow() ? 12 : 0} />}>
      <Match when={report.scenes.failure()}>
        <Failed answer={report.scenes} what={report.say().failedScene} />
      </Match>
      <Match when={report.detail.failure()}>
        <Failed answer={report.detail} what={report.say().failedScene} />
      </Match>
      <Match when={nothing()}>
        <Empty title={report.say().noReport}>
          <p>{report.say().noReportText}</p>
          <p class="note">{report.say().noReportWays}</p>
        </Empty>
      </Match>
      <Match when={strange()}>
        <Empty title={report.say().noUnit}>
          <p>{report.say().noUnitText}</p>
          <button type="button" class="button" onClick={() => report.drill("")}>
            {report.say().whole}
          </button>
        </Empty>
      </Match>
      <Match when={report.run()}>
        <nav class="segments panes" aria-label={report.say().paneChoice}>
          <For each={PANES}>
            {(pane) => (
              <button
                type="button"
                class="segment"
                data-to={pane}
                aria-pressed={report.view.state.pane === pane}
                onClick={() => report.view.go({ pane }, "replace")}
              >
                {report.say().panes[pane]}
              </button>
            )}
          </For>
        </nav>
        <CardPane />
        <div class="report-side">
          <LeaguePane />
          <FeedPane />
        </div>
        <footer class="report-foot note">
          <span>{report.say().asOf(report.run()?.as_of ?? "")}</span>
          <span>{report.say().run(report.run()?.run ?? 0, report.run()?.version ?? 0)}</span>
          <span>{words().boundary(report.frame.map().boundary_version)}</span>
          <span class="keys">{report.say().keys}</span>
        </footer>
      </Match>
    </Switch>
  );
}

function Controls() {
  const report = useReport();
  const { words, view } = useFrame();
  const name = () => {
    const one = report.period();
    return one ? calendarName(report.by(), one.start, view.state.lang) : "";
  };
  return (
    <div class="controls">
      <fieldset class="segments" aria-label={report.say().byChoice}>
        <For each={report.calendars()}>
          {(one) => (
            <button
              type="button"
              class="segment"
              data-by={one}
              aria-pressed={one === report.by()}
              onClick={() => report.setBy(one)}
            >
              {report.say().by[one]}
            </button>
          )}
        </For>
      </fieldset>
      <div class="stepper">
        <button
          type="button"
          class="icon-button"
          title={report.say().earlier}
          aria-label={report.say().earlier}
          disabled={report.ord() <= 0}
          onClick={() => report.goTo(report.ord() - 1)}
        >
          <Icon node={ChevronLeft} />
        </button>
        <b class="period-name" data-testid="period">
          {name()}
          <Show when={report.period() && !report.period()?.complete}>
            <small>{report.say().incomplete}</small>
          </Show>
        </b>
        <button
          type="button"
          class="icon-button"
          title={report.say().later}
          aria-label={report.say().later}
          disabled={report.ord() >= report.periods().length - 1}
          onClick={() => report.goTo(report.ord() + 1)}
        >
          <Icon node={ChevronRight} />
        </button>
      </div>
      <div class="controls-end">
        <span class="badges">
          <Show when={report.frame.map().approximate}>
            <span class="badge" title={words().approximateTitle}>
              {words().approximate}
            </span>
          </Show>
          <Show when={report.run()?.simulated}>
            <span class="badge" title={report.say().simulatedTitle}>
              {report.say().simulated}
            </span>
          </Show>
        </span>
        <BriefButton />
      </div>
    </div>
  );
}

/** The month's brief: of the month shown, of a year its last month. */
function BriefButton() {
  const report = useReport();
  const { view } = useFrame();
  const [busy, setBusy] = createSignal(false);
  const [failure, setFailure] = createSignal("");
  const month = () => {
    const one = report.period();
    if (!one) return "";
    if (report.by() !== "year") return one.start.slice(0, 7);
    const cutoff = report.run()?.as_of ?? one.end;
    const end = new Date(`${one.end < cutoff ? one.end : cutoff}T00:00:00Z`);
    return new Date(end.getTime() - 86_400_000).toISOString().slice(0, 7);
  };
  const make = async () => {
    const asked = month();
    setBusy(true);
    setFailure("");
    try {
      const { pack } = report.frame.map();
      const scope = report.unit()?.code ?? "";
      const answer = await request(reportAddresses.brief(pack, asked, scope, view.state.lang));
      download(`wusetu-${pack}-${asked}.pdf`, await answer.blob());
    } catch (error) {
      setFailure(error instanceof Failure ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <span class="brief">
      <button
        type="button"
        class="button button-primary"
        data-testid="brief"
        disabled={busy() || month() === ""}
        title={month() === "" ? "" : report.say().briefTitle(month())}
        onClick={make}
      >
        <Icon node={Download} />
        {busy() ? report.say().briefMaking : report.say().brief}
      </button>
      <Show when={failure()}>
        <span class="brief-failed floating" role="alert">
          {report.say().briefFailed(failure())}
          <button type="button" class="link" onClick={() => setFailure("")}>
            {report.frame.words().close}
          </button>
        </span>
      </Show>
    </span>
  );
}

/** A feed that stopped is said, never guessed over. */
function FeedsStopped() {
  const report = useReport();
  const stopped = () => (report.run()?.feeds ?? []).filter((one) => one.stopped !== null);
  return (
    <For each={stopped()}>
      {(feed) => (
        <p class="stale" role="status">
          {report.say().stopped(report.frame.title(feed.name), feed.through ?? "—")}
        </p>
      )}
    </For>
  );
}
