"""The page of a tape: one file, every op with its numbers, and what is wrong marked."""

import re

import jax
import jax.numpy as jnp

from thalweg.insight.tape.tape import tape
from thalweg.view.tape import page


def net(model, x):
    h = x
    for layer in model.values():
        h = jnp.tanh(layer["weight"] @ h)
    return jnp.sum(jax.nn.softplus(h))


def model(depth):
    return {f"layer{at}": {"weight": jnp.full((2, 2), 0.1 + at)} for at in range(depth)}


def test_a_small_net_is_drawn_op_by_op_and_each_box_leads_to_its_numbers():
    recorded = tape(net, model(2), jnp.ones(2))
    html = page.render(recorded)
    links = re.findall(r'href="#(op-\d+)"', html)
    assert sorted(links) == sorted(f"op-{op.number}" for op in recorded.ops)
    assert all(f'id="{link}"' in html for link in links)
    assert html.count('class="back"') > len(recorded.ops) and "model.layer0.weight" in html
    assert not re.search(r'(src|href)="http', html)


def test_a_large_net_is_folded_by_layer():
    recorded = tape(net, model(20), jnp.ones(2))
    assert len(recorded.ops) > page.MOST_DRAWN - 10
    html = page.render(tape(net, model(30), jnp.ones(2)))
    links = re.findall(r'href="#(layer-\d+)"', html)
    assert len(links) >= 30 and all(f'id="{link}"' in html for link in links)
    assert "<svg" not in html.split('id="ops"')[0].split('id="graph"')[1]


def test_the_op_at_fault_is_marked_and_text_is_escaped():
    recorded = tape(lambda x: jnp.sum(jnp.log(x)), jnp.array([1.0, 0.0]), name="<script>alert(1)</script>")
    html = page.render(recorded)
    assert "<script>alert" not in html and "op bad born" in html and 'class="head bad"' in html


def test_a_clean_tape_has_nothing_marked_although_a_mask_is_infinite():
    recorded = tape(lambda x: jnp.max(jnp.where(x > 0, x, -jnp.inf)), jnp.array([1.0, -1.0]))
    html = page.render(recorded)
    assert "node bad" not in html and "op bad" not in html
