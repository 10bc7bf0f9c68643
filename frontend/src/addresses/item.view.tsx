/** One text: where it may be and why, another place, a name to learn, and the two decisions. */
import { ChevronLeft } from "lucide";
import { createMemo, createUniqueId, For, Show } from "solid-js";
import { api } from "../api/client";
import { Icon } from "../command/icon";
import { SearchBox } from "../command/search.view";
import { Failed } from "../command/states.view";
import { moment } from "../state/times";
import { type Choice, nameIn, type ReviewItem } from "./choices";
import { useReview } from "./model";

export function ItemView(props: { item: ReviewItem }) {
  const review = useReview();
  const { say, frame, view } = review;
  const when = (iso: string) => moment(iso, frame.map().time_zone, new Date());
  const group = createUniqueId();
  const open = () => props.item.state === "open";
  const found = async (code: string) => {
    const unit = await api
      .unit(frame.map().pack, frame.map().boundary_version, code)
      .catch(() => null);
    const chain = unit ? [...unit.ancestors, unit].map((one) => frame.nameOf(one)).join("") : code;
    review.setElsewhere({ code, name: chain });
  };
  /** The chosen place as it is written out. */
  const target = createMemo(() => review.choices().find((one) => one.code === review.chosen()));
  const number = () => review.choices().findIndex((one) => one.code === review.chosen()) + 1;
  const learn = (on: boolean) => {
    if (!on) {
      review.setAlias(null);
      return;
    }
    review.setAlias(nameIn(props.item.text, target()?.name ?? review.elsewhere()?.name ?? null));
    review.setPlace(target()?.place ?? "");
  };
  return (
    <article class="address">
      <header class="address-head">
        <button
          type="button"
          class="icon-button address-back"
          title={say().back}
          aria-label={say().back}
          onClick={() => view.go({ item: 0 })}
        >
          <Icon node={ChevronLeft} size={28} />
        </button>
        <div>
          <h2 class="address-text" tabindex="-1">
            {props.item.text}
          </h2>
          <p class="address-facts">
            {say().seen(props.item.seen)} · {say().lastSeen(when(props.item.last_seen))}
            <Show when={!open()}>
              {" · "}
              {props.item.state === "settled"
                ? say().settledAs(props.item.settled_code ?? "")
                : say().parts.dismissed}
            </Show>
          </p>
        </div>
      </header>
      <Show when={open()}>
        <form
          class="address-form"
          onSubmit={(event) => {
            event.preventDefault();
            void review.settle();
          }}
        >
          <div class="address-scroll">
            <fieldset class="choices">
              <legend>{say().choices}</legend>
              <Show
                when={review.choices().length > 0}
                fallback={
                  <Show when={review.answer.fresh()}>
                    <p class="quiet">{say().noChoices}</p>
                  </Show>
                }
              >
                <For each={review.choices()}>
                  {(one, index) => <ChoiceRow one={one} n={index() + 1} group={group} />}
                </For>
              </Show>
              <Show when={review.elsewhere()}>
                {(other) => (
                  <label class="choice-row">
                    <input
                      type="radio"
                      name={group}
                      checked={review.chosen() === other().code}
                      onChange={() => review.choose(other().code)}
                    />
                    <span class="choice-n" aria-hidden="true">
                      +
                    </span>
                    <span class="choice-words">
                      <b>{say().otherChosen(other().name)}</b>
                      <small>
                        <code>{other().code}</code>
                      </small>
                    </span>
                  </label>
                )}
              </Show>
            </fieldset>
            <Failed answer={review.answer} what={say().failedAnswer} />
            <div class="address-other" data-label={say().other}>
              <SearchBox onFound={found} label={say().otherLabel} />
            </div>
            <div class="address-learn">
              <label>
                <input
                  type="checkbox"
                  checked={review.alias() !== null}
                  onChange={(event) => learn(event.currentTarget.checked)}
                />
                <span>
                  <b>{say().learn}</b>
                  <small>{say().learnHint}</small>
                </span>
              </label>
              <Show when={review.alias() !== null}>
                <div class="address-name">
                  <label>
                    <span>{say().learnName}</span>
                    <input
                      type="text"
                      required
                      minLength={2}
                      maxLength={80}
                      value={review.alias() ?? ""}
                      onInput={(event) => review.setAlias(event.currentTarget.value)}
                    />
                  </label>
                  <label>
                    <span>{say().learnPlace}</span>
                    <input
                      type="text"
                      maxLength={80}
                      placeholder={say().learnPlaceHint}
                      value={review.place()}
                      onInput={(event) => review.setPlace(event.currentTarget.value)}
                    />
                  </label>
                </div>
              </Show>
            </div>
          </div>
          <Show when={review.wrong()}>
            <p class="address-wrong" role="alert">
              {say().refused(review.wrong())}
            </p>
          </Show>
          <footer class="address-acts">
            <button
              type="submit"
              class="button button-primary"
              disabled={review.busy() || review.chosen() === ""}
            >
              {number() > 0 ? say().settleAt(number()) : say().settle}
            </button>
            <button
              type="button"
              class="button address-dismiss"
              disabled={review.busy()}
              onClick={() => void review.dismiss()}
            >
              {say().dismiss}
            </button>
          </footer>
        </form>
      </Show>
    </article>
  );
}

/** A place: its number, names from the coarsest, level, code, why; how sure where that is known. */
function ChoiceRow(props: { one: Choice; n: number; group: string }) {
  const review = useReview();
  const { say } = review;
  const level = () => (props.one.level ? say().levels[props.one.level] : undefined);
  return (
    <label class="choice-row">
      <input
        type="radio"
        name={props.group}
        checked={review.chosen() === props.one.code}
        onChange={() => review.choose(props.one.code)}
      />
      <span class="choice-n" aria-hidden="true">
        {props.n}
      </span>
      <span class="choice-words">
        <b>
          {props.one.name ?? props.one.code}
          <Show when={props.one.place}>
            {(place) => <span class="choice-place"> {place()}</span>}
          </Show>
        </b>
        <small>
          <Show when={level()}>
            <>{level()} · </>
          </Show>
          <code>{props.one.code}</code>
          <Show when={props.one.shared}> · {say().sharedOnly}</Show>
        </small>
        <Show when={props.one.reasons.length > 0}>
          <span class="choice-why">
            {props.one.reasons.map((one) => say().reasons[one] ?? one).join(" · ")}
          </span>
        </Show>
      </span>
      <Show when={props.one.confidence !== null}>
        <span class="choice-sure">
          <span class="sure-bar" aria-hidden="true">
            <i style={{ width: `${Math.round((props.one.confidence ?? 0) * 100)}%` }} />
          </span>
          {say().sure((props.one.confidence ?? 0).toFixed(2))}
        </span>
      </Show>
    </label>
  );
}
